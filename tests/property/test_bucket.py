"""The bucket's promises, against every history that hypothesis can think of."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ratelimit.bucket import NEVER, Level, decide
from ratelimit.ports import Limit

limits = st.builds(
    Limit,
    name=st.just("requestsPerMinute"),
    bucket=st.just("b"),
    refill=st.integers(1, 500),
    period_ms=st.sampled_from([1, 7, 1_000, 60_000, 3_600_000]),
    capacity=st.integers(1, 50),
)
histories = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 20)), max_size=60)


def run(limit: Limit, history: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], Level, int]:
    """Play (pause, cost) pairs; return what was admitted as (time, cost), the last level and the last time."""
    level, now, admitted = Level(), 1_000, []
    for pause, cost in history:
        now += pause
        outcome = decide([limit], [level], cost, now)
        (level,) = outcome.levels
        if outcome.admitted:
            admitted.append((now, cost))
    return admitted, level, now


@given(limits, histories)
def test_no_window_ever_passes_more_than_capacity_plus_refill(limit: Limit, history: list[tuple[int, int]]) -> None:
    admitted, _, _ = run(limit, history)
    for first in range(len(admitted)):
        total = 0
        for time, cost in admitted[first:]:
            total += cost
            assert total <= limit.capacity + Fraction(limit.refill * (time - admitted[first][0]), limit.period_ms)


@given(limits, histories, st.integers(1, 60))
def test_a_retry_succeeds_at_the_promised_moment_and_not_a_millisecond_earlier(limit: Limit, history: list[tuple[int, int]], cost: int) -> None:
    _, level, now = run(limit, history)
    outcome = decide([limit], [level], cost, now)
    (state,) = outcome.states
    if outcome.admitted:
        assert state.retry_ms == 0
    elif cost > limit.capacity:
        assert state.retry_ms == NEVER
    else:
        assert state.retry_ms > 0
        assert decide([limit], [level], cost, now + state.retry_ms).admitted
        assert not decide([limit], [level], cost, now + state.retry_ms - 1).admitted


@given(limits, histories)
def test_a_bucket_is_full_again_at_the_promised_moment_and_not_a_millisecond_earlier(limit: Limit, history: list[tuple[int, int]]) -> None:
    _, level, now = run(limit, history)
    (state,) = decide([limit], [level], limit.capacity + 1, now).states
    assert decide([limit], [level], limit.capacity, now + state.ms_to_full).admitted
    if state.ms_to_full:
        assert not decide([limit], [level], limit.capacity, now + state.ms_to_full - 1).admitted


@given(limits, histories, st.integers(1, 20))
def test_remaining_is_exactly_what_would_still_pass(limit: Limit, history: list[tuple[int, int]], cost: int) -> None:
    _, level, now = run(limit, history)
    outcome = decide([limit], [level], cost, now)
    remaining = outcome.states[0].remaining
    assert 0 <= remaining <= limit.capacity
    assert not decide([limit], outcome.levels, remaining + 1, now).admitted
    if remaining:
        assert decide([limit], outcome.levels, remaining, now).admitted


@given(limits, histories, st.integers(1, 10_000), st.integers(1, 20))
def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing(limit: Limit, history: list[tuple[int, int]], back_ms: int, cost: int) -> None:
    _, level, _ = run(limit, history)
    back = decide([limit], [level], cost, level.t - back_ms)
    there = decide([limit], [level], cost, level.t)
    assert back.admitted == there.admitted
    assert back.levels == there.levels
    assert back.states[0].remaining == there.states[0].remaining
    if there.states[0].retry_ms > 0:
        assert back.states[0].retry_ms == there.states[0].retry_ms + back_ms


@given(st.lists(limits, min_size=1, max_size=4), st.data())
def test_all_or_nothing(several: list[Limit], data: st.DataObject) -> None:
    levels = [Level(data.draw(st.integers(0, limit.capacity * limit.period_ms)), 1_000) for limit in several]
    cost = data.draw(st.integers(1, 60))
    outcome = decide(several, levels, cost, 1_000)
    if outcome.admitted:
        assert [after.w - before.w for after, before in zip(outcome.levels, levels, strict=True)] == [cost * limit.period_ms for limit in several]
        assert all(state.retry_ms == 0 for state in outcome.states)
    else:
        assert outcome.levels == tuple(levels)
        assert any(state.retry_ms for state in outcome.states)
