"""The admission store in process memory: the same port, the same rule, no shared state.

extauth decides by it while Valkey is away (the local share), and tests run the port's suite on it.
"""

import uuid
from collections.abc import Callable, Sequence

from ias.ids import uuid7
from ratelimit import bucket, layout
from ratelimit.ports import Admission, Decision, Limit, Unclaimed

_FIRST_SWEEP = 1024


class MemoryAdmissionStore:
    """`clock` gives milliseconds of any clock that the reservation ids should carry; `claim_ttl_ms` is the time to claim one."""

    def __init__(self, clock: Callable[[], int], claim_ttl_ms: int = 10_000) -> None:
        self._clock = clock
        self._claim_ttl_ms = claim_ttl_ms
        self._buckets: dict[str, tuple[bucket.Level, int]] = {}
        self._sweep_at = _FIRST_SWEEP
        self._open: dict[tuple[str, str], tuple[int, bytes]] = {}

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        decisions = self.decide(admissions)
        deadline = self._clock() + self._claim_ttl_ms
        for admission, decision in zip(admissions, decisions, strict=True):
            if decision.reservation_id is not None:
                self._open[(admission.org_id, decision.reservation_id)] = (deadline, admission.claim)
        return decisions

    async def claim(self, reservations: Sequence[tuple[str, str]]) -> None:
        for reservation in reservations:
            self._open.pop(reservation, None)

    async def unclaimed(self, limit: int = 1_000) -> list[Unclaimed]:
        now = self._clock()
        due = [Unclaimed(org_id, rid, claim) for (org_id, rid), (deadline, claim) in self._open.items() if deadline <= now]
        return due[:limit]

    def decide(self, admissions: Sequence[Admission]) -> list[Decision]:
        """Decide without recording reservations: for a process whose memory no reaper can see."""
        now = self._clock()
        return [self._decide(admission, now) for admission in admissions]

    def _decide(self, admission: Admission, now: int) -> Decision:
        keys = [layout.bucket(admission.org_id, limit) for limit in admission.limits]
        levels = [self._level(key, now) for key in keys]
        outcome = bucket.decide(admission.limits, levels, admission.cost, now)
        if not outcome.admitted:
            return Decision(None, outcome.states)
        for key, limit, level in zip(keys, admission.limits, outcome.levels, strict=True):
            self._keep(key, limit, level, now)
        return Decision(_reservation_id(now, admission.reservation_entropy), outcome.states)

    def _level(self, key: str, now: int) -> bucket.Level:
        kept = self._buckets.get(key)
        return kept[0] if kept is not None else bucket.Level(0, now)

    def _keep(self, key: str, limit: Limit, level: bucket.Level, now: int) -> None:
        self._buckets[key] = (level, level.t - (-level.w // limit.refill))
        if len(self._buckets) >= self._sweep_at:
            self._buckets = {key: kept for key, kept in self._buckets.items() if kept[1] > now}
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._buckets))


def _reservation_id(now: int, entropy: int) -> str:
    value: uuid.UUID = uuid7(now, entropy)
    return str(value)
