from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from controlplane.budgets.rules import (
    FIRST_PAUSE_MS,
    STAYS_OPEN_MS,
    Budget,
    Use,
    at_ms,
    check_ceiling,
    next_look_ms,
    reached,
    unix_ms,
    use_of,
)
from controlplane.errors import Problem
from ratelimit.ports import BudgetKey, BudgetState, Period

ORG, USER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
BUDGET = Budget(ORG, "org", ORG, None, Period.MONTH, 100)


def test_a_moment_is_milliseconds_and_back() -> None:
    moment = datetime(2026, 11, 18, 12, 0, 0, 123_999, tzinfo=UTC)
    assert at_ms(unix_ms(moment)) == moment.replace(microsecond=123_000)


def test_the_counter_of_a_budget_is_that_of_its_scope_and_period() -> None:
    start_ms, end_ms = (unix_ms(datetime(2026, month, 1, tzinfo=UTC)) for month in (11, 12))
    assert BUDGET.counter(NOON) == BudgetKey(str(ORG), "org", Period.MONTH, start_ms, end_ms)
    just_december = datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert BUDGET.counter(just_december).start_ms == end_ms
    of_user = replace(BUDGET, subject_id=USER, scope="user", user_id=USER)
    assert of_user.counter(NOON).scope == f"user:{USER}"


@pytest.mark.parametrize(
    ("tokens", "ceiling", "extra", "expected"),
    [(100, None, 0, 100), (100, None, 20, 120), (100, 110, 20, 110), (100, 50, 0, 50), (None, 50, 0, 50), (0, 50, 0, 0)],
)
def test_the_smaller_of_budget_and_ceiling_counts(tokens: int | None, ceiling: int | None, extra: int, expected: int) -> None:
    assert replace(BUDGET, tokens=tokens, ceiling_tokens=ceiling, extra_tokens=extra).effective_tokens == expected


def test_an_increase_ends_at_its_moment() -> None:
    increased = replace(BUDGET, extra_tokens=20, extra_until=NOON)
    assert increased.at(NOON - timedelta(microseconds=1)) == increased
    assert increased.at(NOON) == BUDGET


def test_a_budget_with_its_increase_stays_under_the_ceiling() -> None:
    check_ceiling(replace(BUDGET, ceiling_tokens=120, extra_tokens=20))
    for above in (replace(BUDGET, ceiling_tokens=99), replace(BUDGET, ceiling_tokens=119, extra_tokens=20)):
        with pytest.raises(Problem, match="System Admin"):
            check_ceiling(above)
    check_ceiling(replace(BUDGET, tokens=None, ceiling_tokens=0))


@pytest.mark.parametrize(
    ("spent", "tokens", "expected"),
    [(0, 100, []), (49, 100, []), (50, 100, [50]), (99, 100, [50, 80]), (250, 100, [50, 80, 100]), (0, 0, []), (1, 0, [50, 80, 100]), (2, 3, [50])],
)
def test_thresholds_are_reached_at_exactly_so_many_percent(spent: int, tokens: int, expected: list[int]) -> None:
    assert reached((100, 80, 50), spent, tokens) == expected


def test_a_counter_tells_when_its_base_is_known() -> None:
    state = BudgetState(BUDGET.counter(NOON), 10, 5, 7, 0)
    assert use_of(state) == Use(15, 7, True)
    assert use_of(replace(state, base=None)) is None
    assert use_of(None) is None


def test_a_base_is_summed_up_again_the_more_rarely_the_older_it_is_and_then_never() -> None:
    assert next_look_ms(1_000, 0, 1_000) == 1_000 + FIRST_PAUSE_MS
    hour = 3_600_000
    assert next_look_ms(0, 0, hour) == hour + hour // 10
    assert next_look_ms(0, 0, STAYS_OPEN_MS) is not None
    assert next_look_ms(0, 0, STAYS_OPEN_MS + 1) is None


def test_a_worker_that_starts_late_looks_often_at_old_counters_too() -> None:
    """What was to arrive may have waited for this worker."""
    assert next_look_ms(0, STAYS_OPEN_MS, STAYS_OPEN_MS) == STAYS_OPEN_MS + FIRST_PAUSE_MS


def test_a_base_is_summed_up_a_bounded_number_of_times() -> None:
    looks, now = 0, 0
    while (following := next_look_ms(0, 0, now)) is not None:
        looks, now = looks + 1, following
    assert looks < 150
