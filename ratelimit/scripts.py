"""The Lua scripts that run in Valkey, by name. What they share stands in front of each."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name under which the server keeps it."""

    source: str

    @property
    def sha(self) -> str:
        """What EVALSHA calls it."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


def _read(*names: str) -> Script:
    folder = resources.files("ratelimit").joinpath("lua")
    return Script("\n".join(folder.joinpath(f"{name}.lua").read_text() for name in names))


SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        **{name: _read("common", name) for name in ("admit", "seed")},
        **{name: _read("common", "buckets", "reservations", name) for name in ("extend", "top_up", "hold_again", "sweep", "reported")},
        "settle": _read("common", "buckets", "reservations", "learn", "settle"),
        "look": _read("look"),
    }
)
"""What the admission store runs."""

HIT_SCRIPTS: Mapping[str, Script] = MappingProxyType({"hit": _read("common", "buckets", "hit")})
"""What the Rate Limit Service runs."""
