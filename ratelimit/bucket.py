"""The rules of one limit in exact integers, which the scripts (`lua/common.lua`) and the memory store both follow. Pure.

A bucket's level W counts *token-milliseconds*: a charge of n adds n·P, a passed millisecond drains L (L tokens in P ms), full means
B·P. No fraction ever appears, so that "try again in r ms" is exact: r ms later it fits, one earlier it does not. What is held does not
drain, so that a settlement gives back exactly what was held. A clock that goes back neither drains nor rewinds; by more than `WRONG_MS` it was
wrong before, and the bucket begins anew: else nothing would drain until the clock is there again.
A budget's level is its counter: nothing drains, and the period ends.
"""

from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_struct

from ratelimit.ports import MAX_LEVEL, Limit, LimitState, Unit

NEVER = -1
"""`retry_ms` of more than the capacity: no wait can help."""
WRONG_MS = 60_000
STREAM_RETRY_MS = 1_000
"""When a running request ends nobody knows."""
_MAX = MAX_LEVEL - 1


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket remembers. `w` is in token-milliseconds; `t`, in ms, is the latest time it has seen; `held` is in tokens."""

    w: int = 0
    t: int = 0
    held: int = 0

    def drain(self, refill: int, now_ms: int) -> "Level":
        """The level at `now_ms`."""
        if self.t - now_ms > WRONG_MS:
            return replace(self, w=0, t=now_ms)
        return self if now_ms <= self.t else replace(self, w=max(0, self.w - (now_ms - self.t) * refill), t=now_ms)

    def add(self, charge: int, held: int, period_ms: int) -> "Level":
        """Charge and hold tokens (negative: give back). Debt ends where numbers end to be exact."""
        return replace(self, w=min(_MAX, max(0, self.w + charge * period_ms)), held=max(0, self.held + held))

    def free(self, limit: Limit) -> int:
        """Tokens that are left; negative: debt."""
        return (limit.capacity * limit.period_ms - self.w - self.held * limit.period_ms) // limit.period_ms

    def ms_to_full(self, limit: Limit, now_ms: int) -> int:
        return self.t - now_ms - (-self.w // limit.refill) if self.w else 0

    def retry_ms(self, limit: Limit, wanted: int, now_ms: int) -> int:
        """When `wanted`, which does not fit, may fit at the earliest."""
        if limit.unit is Unit.STREAMS:
            return STREAM_RETRY_MS
        excess = self.w + (self.held + wanted - limit.capacity) * limit.period_ms
        return self.t - now_ms - (-excess // limit.refill)


@dataclass(frozen=True, slots=True)
class Counter:
    """A budget counter: spent is `base + own` tokens. `base` is None until it was seeded; `end_ms` is the end of the period."""

    since_ms: int
    end_ms: int
    base: int | None = None
    own: int = 0
    held: int = 0

    def add(self, charge: int, held: int) -> "Counter":
        """Charge and hold tokens (negative: give back)."""
        return replace(self, own=min(_MAX, max(0, self.own + charge)), held=max(0, self.held + held))

    def free(self, limit: Limit) -> int:
        """Tokens that are left; negative: overspent."""
        return limit.capacity - (self.base or 0) - self.own - self.held


def part_of(limit: Limit, replicas: int) -> Limit:
    """What one of several replicas may give of a limit by itself: its part, but at least one."""
    capacity = max(1, limit.capacity // replicas) if limit.capacity else 0
    return replace_struct(limit, capacity=capacity, refill=max(1, limit.refill // replicas) if limit.refill else 0)


def state(limit: Limit, level: Level | Counter, wanted: int, fits: bool, now_ms: int) -> LimitState:
    """Describe a limit after the decision; `wanted` was the least that could have been taken."""
    to_end = level.end_ms - now_ms if isinstance(level, Counter) else level.ms_to_full(limit, now_ms)
    if fits:
        retry_ms = 0
    elif wanted > limit.capacity:
        retry_ms = NEVER
    else:
        retry_ms = to_end if isinstance(level, Counter) else level.retry_ms(limit, wanted, now_ms)
    return LimitState(limit, level.free(limit), to_end, retry_ms, level.held)
