"""The key layout in Valkey, version 2: every key that is ever written is named here.

All keys of an org carry the hash tag `{org}`: a script is sent to its slot by `due` and names the others from it. A new layout
gets a new prefix and lives beside the old one until no process of the version before is left. Times are Valkey's, in ms.

| key | type | content |
|---|---|---|
| `ias2:{org}:b:<period ms>:<bucket>` | string | `W:t:H`, a bucket: level in token x ms, its time, tokens held |
| `ias2:{org}:s:<bucket>` | string | `0:t:H`, concurrent requests: H of them run |
| `ias2:{org}:<d, w or m>:<start ms>:<scope>` | string | `since:base:own:held`, a budget counter of a day, week or month; an empty base is not known |
| `ias2:{org}:r:<id>` | string | MessagePack: one reservation with what it holds (`lua/common.lua`) |
| `ias2:{org}:due` | sorted set | open reservations by deadline |
| `ias2:{org}:swept` | sorted set | swept ones whose event is not written yet, by the time of the sweep |
| `ias2:{org}:x:<id>` | string | a settled request that was admitted while Valkey was away |
| `ias2:{org}:charged` | sorted set | days -> latest time of admission, on that day, of a request that was charged: counters begin behind it |
| `ias2:{org}:l` | hash | publication id -> learned values and their histograms (`lua/learn.lua`) |
| `ias2:{orgs}:noted` | sorted set | orgs by the time that an admission was last noted |
| `ias2:{orgs}:look` | sorted set | orgs by the time to look for overdue reservations |
| `ias2:{<service>}:replicas` | sorted set | replicas of extauth, or of the Rate Limit Service, by the time of their last beat |
| `ias2:{rl:<domain>}:b:<period ms>:<entries>` | string | `W:t:0`, a bucket of the Rate Limit Service; domain and descriptor as digests |
| `ias2:{rl:<domain>}:a:<period ms>:<entries>` | string | a bucket that was asked whether anything is left (`lua/hit.lua`) |

Expiry: buckets go when they are full again; what is held, and reservations, seven days after they were last touched; reported
reservations and `x` after a day; days of `charged` after seven; counters 45 days after their period; learned values after 30 days without a request;
questions to buckets after an hour.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from ratelimit.ports import BudgetKey, Limit, Period, Unit

NOTED = "ias2:{orgs}:noted"
LOOK = "ias2:{orgs}:look"

KIND = {Period.DAY: "d", Period.WEEK: "w", Period.MONTH: "m"}
CALENDAR = {kind: period for period, kind in KIND.items()}
_UNIT = {Unit.REQUESTS: "r", Unit.TOKENS: "t", Unit.STREAMS: "s"}


def due(org_id: str) -> str:
    """The key that every script of an org is given."""
    return f"ias2:{{{org_id}}}:due"


def bucket(org_id: str, limit: Limit) -> str:
    """A bucket's key. The period is part of it because it is part of the unit in which the level is kept."""
    name = f"s:{limit.bucket}" if limit.unit is Unit.STREAMS else f"b:{limit.period_ms}:{limit.bucket}"
    return f"ias2:{{{org_id}}}:{name}"


def counter(key: BudgetKey) -> str:
    """A budget counter's key."""
    return f"ias2:{{{key.org_id}}}:{KIND[key.calendar]}:{key.start_ms}:{key.scope}"


def domain(name: str) -> str:
    """What stands in an org's place for a domain of the Rate Limit Service. No org has such a name."""
    return f"rl:{_digest(name)}"


def descriptor(entries: Sequence[tuple[str, str]]) -> str:
    """The bucket of a descriptor's (key, value) pairs. Other pairs never have the same, whatever characters they are made of."""
    return _digest("".join([f"{len(key)}:{key}{len(value)}:{value}" for key, value in entries]))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def replicas(service: str) -> str:
    """The register of a service's replicas."""
    return f"ias2:{{{service}}}:replicas"


@lru_cache(4_096)
def rule(limit: Limit) -> str:
    """A limit as the scripts read it and reservations keep it."""
    kind = _UNIT[limit.unit] if limit.calendar is None else KIND[limit.calendar]
    return f"{kind}{limit.dry_run:d}:{limit.refill}:{limit.period_ms}:{limit.capacity}:{limit.bucket}"
