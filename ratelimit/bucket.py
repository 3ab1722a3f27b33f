"""The token bucket in exact integers: the rule that `admit.lua` and the memory store both follow.

A level W counts *token-milliseconds*: a charge of n adds n·P, a passed millisecond drains L (L tokens in P ms), full means
B·P. No fraction ever appears, so that "try again in r ms" is exact: r ms later it fits, one earlier it does not.
A clock that goes back neither drains nor rewinds: the bucket waits until the clock has caught up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimit.ports import Limit, LimitState

NEVER = -1
"""`retry_ms` of a cost above the capacity: no wait can help."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket remembers. `w` is in token-milliseconds; `t`, in ms, is the latest time it has seen."""

    w: int = 0
    t: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision on all limits of one request. `levels` are those to store; they are unchanged if it was refused."""

    admitted: bool
    levels: tuple[Level, ...]
    states: tuple[LimitState, ...]


def decide(limits: Sequence[Limit], levels: Sequence[Level], cost: int, now_ms: int) -> Outcome:
    """Charge `cost` to every limit or to none."""
    drained = [drain(level, limit.refill, now_ms) for limit, level in zip(limits, levels, strict=True)]
    admitted = all(_fits(limit, level, cost) for limit, level in zip(limits, drained, strict=True))
    if admitted:
        drained = [Level(level.w + cost * limit.period_ms, level.t) for limit, level in zip(limits, drained, strict=True)]
    states = tuple(_state(limit, level, 0 if admitted else cost, now_ms) for limit, level in zip(limits, drained, strict=True))
    return Outcome(admitted, tuple(drained) if admitted else tuple(levels), states)


def drain(level: Level, refill: int, now_ms: int) -> Level:
    """The level at `now_ms`."""
    if now_ms <= level.t:
        return level
    return Level(max(0, level.w - (now_ms - level.t) * refill), now_ms)


def _fits(limit: Limit, level: Level, cost: int) -> bool:
    return level.w + cost * limit.period_ms <= limit.capacity * limit.period_ms


def _state(limit: Limit, level: Level, wanted: int, now_ms: int) -> LimitState:
    full = limit.capacity * limit.period_ms
    behind_ms = max(0, level.t - now_ms)
    excess = level.w + wanted * limit.period_ms - full
    wait_ms = behind_ms - (-excess // limit.refill) if excess > 0 else 0
    return LimitState(
        limit=limit,
        remaining=max(0, (full - level.w) // limit.period_ms),
        ms_to_full=behind_ms - (-level.w // limit.refill) if level.w else 0,
        retry_ms=NEVER if wanted > limit.capacity else wait_ms,
    )
