"""Admission by this process alone, while the store is away: its share of every limit. Pure: time comes in as an argument.

* Rate limits: the limit divided by the live replicas, at least 1. Tokens are charged as they are held, because nobody tells this
  process what became of the request.
* Concurrent requests: for the same reason as a rate, of requests that last `ASSUMED_STREAM_MS`.
* Budgets: nobody can say what is spent, so all of the org's requests in this process together may take its grace tokens, then 503.

All N replicas admit at most the limit, and once more what had been taken of it when the store went. The levels are kept when the
store is back, so that one which comes and goes does not give the share anew each time; they drain by themselves.
"""

from dataclasses import dataclass
from typing import Final

from ias.errors import service_unavailable
from ias.ids import uuid7
from ratelimit.bucket import NEVER, part_of
from ratelimit.ports import Admission, Decision, Limit, LimitState, TokenHold, Unit

ASSUMED_STREAM_MS: Final = 30_000
GRACE_PERIOD_MS: Final = 24 * 3_600_000
"""Spent grace comes back over a day."""
_FIRST_SWEEP = 1024


@dataclass(frozen=True, slots=True)
class _Share:
    """A token bucket: `level` of it, in units times `period_ms`, at the time of the decision."""

    key: tuple[str, str, int]
    refill: int
    period_ms: int
    capacity: int
    level: int

    @property
    def free(self) -> int:
        return (self.capacity * self.period_ms - self.level) // self.period_ms

    def retry_ms(self, cost: int) -> int:
        if cost > self.capacity:
            return NEVER
        return max(0, -(-(self.level + (cost - self.capacity) * self.period_ms) // self.refill))


class LocalShare:
    """The levels of this process."""

    def __init__(self) -> None:
        self._levels: dict[tuple[str, str, int], tuple[int, int, int]] = {}
        """(level, at ms, drained at ms) by org, bucket and period."""
        self._sweep_at = _FIRST_SWEEP

    def decide(self, admission: Admission, grace_tokens: int, replicas: int, now_ms: int, id_ms: int) -> Decision:
        """Decide one request. `now_ms` is of a clock that never goes back, `id_ms` the store's time as far as it is known.

        Raises a 503 when a budget cannot be checked and the org's grace is used up, and for what fits into a limit but never into a share of it.
        """
        enforced = [limit for limit in admission.limits if not limit.dry_run]
        limits = [limit for limit in enforced if limit.calendar is None]
        shares = [self._share(admission.org_id, limit, replicas, now_ms) for limit in limits]
        grace = None if len(limits) == len(enforced) else self._grace(admission.org_id, grace_tokens, now_ms)
        free = [share.free for limit, share in zip(limits, shares, strict=True) if limit.unit is Unit.TOKENS]
        tokens = _choose(admission.tokens, free if grace is None else [*free, grace.free])
        costs = [admission.cost if limit.unit is Unit.REQUESTS else 1 if limit.unit is Unit.STREAMS else tokens for limit in limits]
        waits = [share.retry_ms(cost) for share, cost in zip(shares, costs, strict=True)]
        if any(wait == NEVER and cost <= limit.capacity for limit, cost, wait in zip(limits, costs, waits, strict=True)):
            raise service_unavailable("Rate limiting")  # too large for a share of the limit, not for the limit
        if any(waits):
            return Decision(None, tuple(_state(limit, share, 0, wait) for limit, share, wait in zip(limits, shares, waits, strict=True)))
        if grace is not None:
            if tokens > grace.free:
                raise service_unavailable("The token budget")
            self._charge(grace, tokens, now_ms)
        for share, cost in zip(shares, costs, strict=True):
            self._charge(share, cost, now_ms)
        states = tuple(_state(limit, share, cost, 0) for limit, share, cost in zip(limits, shares, costs, strict=True))
        return Decision(str(uuid7(id_ms, admission.reservation_entropy)), states, tokens)

    def _share(self, org_id: str, limit: Limit, replicas: int, now_ms: int) -> _Share:
        part = part_of(limit, replicas)
        if limit.unit is Unit.STREAMS:
            return self._bucket((org_id, limit.bucket, ASSUMED_STREAM_MS), max(1, part.capacity), part.capacity, now_ms)
        return self._bucket((org_id, limit.bucket, limit.period_ms), part.refill, part.capacity, now_ms)

    def _grace(self, org_id: str, tokens: int, now_ms: int) -> _Share:
        return self._bucket((org_id, "grace", GRACE_PERIOD_MS), max(1, tokens), tokens, now_ms)

    def _bucket(self, key: tuple[str, str, int], refill: int, capacity: int, now_ms: int) -> _Share:
        level, at_ms, _ = self._levels.get(key, (0, now_ms, now_ms))
        return _Share(key, refill, key[2], capacity, max(0, level - (now_ms - at_ms) * refill))

    def _charge(self, share: _Share, cost: int, now_ms: int) -> None:
        level = share.level + cost * share.period_ms
        self._levels[share.key] = (level, now_ms, now_ms - (-level // share.refill))
        if len(self._levels) >= self._sweep_at:
            self._levels = {key: kept for key, kept in self._levels.items() if kept[2] > now_ms}
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._levels))


def _choose(hold: TokenHold, free: list[int]) -> int:
    """How many tokens to hold; an amount that does not fit if none does."""
    if not free:
        return hold.full
    left = min(free)
    if hold.full * 100 <= left * hold.share_percent:
        return hold.full
    if hold.reduced:
        return hold.reduced
    return max(min(left, hold.full), hold.at_least) if hold.at_least else hold.full


def _state(limit: Limit, share: _Share, cost: int, wait_ms: int) -> LimitState:
    level = share.level + cost * share.period_ms
    free = (share.capacity * share.period_ms - level) // share.period_ms
    return LimitState(limit, free, -(-level // share.refill), wait_ms)
