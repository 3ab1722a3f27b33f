"""Rules of keys: how they are digested, how many a user may have. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What every new key obeys."""

    peppers: Mapping[int, bytes] = field(repr=False)
    env: str
    per_user: int

    @property
    def current_pepper(self) -> tuple[int, bytes]:
        """Version and secret for new keys: the highest version."""
        version = max(self.peppers)
        return version, self.peppers[version]
