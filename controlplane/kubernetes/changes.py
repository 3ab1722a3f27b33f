"""What brings a cluster from what it has to what is desired. Pure: applied twice, the second time is nothing.

An object needs no write when what we say of it is what it has. What others have added to it is not ours to judge. What we no longer
say, but have said, is noticed by a digest of all that we say, in an annotation.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from controlplane.kubernetes.objects import Key, Manifest, is_for_routes, key_of, model_of, rank_of

DIGEST = "ias.dev/digest"
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do, in order."""

    apply: tuple[Manifest, ...]
    """With their digests."""
    delete: tuple[Manifest, ...]
    """As they are live."""

    def __bool__(self) -> bool:
        return bool(self.apply or self.delete)

    def first(self, count: int | None) -> "Changes":
        """Return a portion, in order: so many of what is to be applied; what is to be deleted comes when all is applied."""
        return self if count is None or len(self.apply) <= count else Changes(self.apply[:count], ())

    def needed_by(self, models: Collection[str], alone: Collection[Key]) -> "Changes":
        """Return what concerns these models, and the gateway itself; `alone` is what is there for them alone."""
        apply = tuple(one for one in self.apply if key_of(one) in alone or not (model_of(one) or is_for_routes(one)))
        return Changes(apply, tuple(one for one in self.delete if model_of(one) in models))


def changes(desired: Iterable[Manifest], live: Iterable[Manifest]) -> Changes:
    """Compare; `live` is everything that carries our labels."""
    wanted = {key_of(manifest): stamped(manifest) for manifest in desired}
    found = {key_of(manifest): manifest for manifest in live}
    apply = [manifest for key, manifest in wanted.items() if projected(manifest, found.get(key)) != manifest]
    delete = [manifest for key, manifest in found.items() if key not in wanted and "deletionTimestamp" not in manifest["metadata"]]
    return Changes(tuple(sorted(apply, key=_when)), tuple(sorted(delete, key=_when, reverse=True)))


def stamped(manifest: Manifest) -> Manifest:
    """Return a manifest with the digest of what it says."""
    encoded = _encode(manifest)
    made: Manifest = _decode(encoded)
    made["metadata"].setdefault("annotations", {})[DIGEST] = hashlib.sha256(encoded).hexdigest()[:16]
    return made


def projected(wanted: Any, found: Any) -> Any:
    """Return of `found` what `wanted` speaks of: equal to `wanted` when all of it is there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {name: projected(value, found[name]) for name, value in wanted.items() if name in found}
    if isinstance(wanted, list | tuple) and isinstance(found, list) and len(wanted) == len(found):
        return [projected(one, other) for one, other in zip(wanted, found, strict=True)]
    return found


def _when(manifest: Manifest) -> tuple[int, Key]:
    return rank_of(manifest), key_of(manifest)
