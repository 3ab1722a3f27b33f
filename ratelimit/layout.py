"""The key layout in Valkey, version 1: every key that is ever written is named here.

All keys of an org carry the hash tag `{org}`, so that one script may touch them together in a cluster. A new layout gets a
new prefix and lives beside the old one until no process of the version before is left.

| key | type | content |
|---|---|---|
| `ias1:{org}:b:<period ms>:<bucket>` | string | `W:t`, a bucket (`ratelimit.bucket.Level`); gone soon after it has drained |
| `ias1:{org}:open` | hash | reservation id → its record: the claim, until somebody claims it |
| `ias1:{org}:due` | sorted set | reservation id by the deadline of its claim (server's ms) |
| `ias1:orgs` | sorted set | orgs by the time their last admission was noted (server's ms), for the reaper |
"""

from ratelimit.ports import Limit

ORGS = "ias1:orgs"

OPEN_TTL_MS = 7 * 24 * 3_600_000
"""Reservations that nobody claims go when their org has admitted nothing for so long: a reaper has never run."""


def bucket(org_id: str, limit: Limit) -> str:
    """A bucket's key. The period is part of it because it is part of the unit in which the level is kept."""
    return f"ias1:{{{org_id}}}:b:{limit.period_ms}:{limit.bucket}"


def opened(org_id: str) -> str:
    """The org's reservations that are not claimed yet."""
    return f"ias1:{{{org_id}}}:open"


def due(org_id: str) -> str:
    """The deadlines of the same."""
    return f"ias1:{{{org_id}}}:due"
