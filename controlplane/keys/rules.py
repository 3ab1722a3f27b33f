"""Rules of keys: how they are digested, how long a credential lives on after a rotation, what a key is at a moment. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from controlplane.errors import Problem

MAX_LIVE_CREDENTIALS = 3
"""Of one key: the new one, the one before, and one that is about to end."""
DEFAULT_OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)


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


@dataclass(frozen=True, slots=True)
class Validity:
    """Until when a live credential is good; None: as long as its key."""

    credential_id: str
    valid_until: datetime | None


def after_rotation(live: Sequence[Validity], now: datetime, overlap: timedelta) -> dict[str, datetime]:
    """Return the new ends of the credentials that end sooner because another one is made; no overlap: `now`.

    No credential ever gets more time than it had. Raises Problem 409 when one more would be too many.
    """
    if overlap and len(live) >= MAX_LIVE_CREDENTIALS:
        raise Problem(
            409,
            "too_many_credentials",
            f"{len(live)} credentials of this key are valid, which is the limit: wait until the oldest ends, or rotate with an overlap of 0.",
        )
    end = now + overlap
    return {one.credential_id: end for one in live if one.valid_until is None or one.valid_until > end}


def status_at(status: str, expires_at: datetime | None, now: datetime) -> str:
    """Return what a key is at a moment: `active`, `expired`, `disabled` or `revoked`."""
    return "expired" if status == "active" and expires_at is not None and expires_at <= now else status


def confirmation(key_ids: Iterable[UUID]) -> str:
    """Return what stands for exactly these keys: who has seen them hands it back, and no others are meant by it."""
    return hashlib.sha256(b"".join(sorted(key_id.bytes for key_id in key_ids))).hexdigest()[:32]
