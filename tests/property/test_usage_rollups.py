"""Rollups are what the ledger's rows sum up to, whatever is added and taken back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controlplane.usage.rollups import DAY_MS, DURATION_BOUNDS_MS, QUARTER_HOUR_MS, days, quarter_hours
from ias.ids import uuid7
from ias.usage_event import Outcome, RequestRecorded
from tests.support.usage_events import event, some_id

MIDNIGHT_MS = 1_790_000_000_000 // DAY_MS * DAY_MS

events = st.builds(
    lambda number, ms, org, outcome, tokens, duration, first: event(
        number,
        outcome,
        event_id=str(uuid7(MIDNIGHT_MS + ms, number)),
        org_id=some_id(org),
        input_tokens=tokens,
        output_tokens=1,
        duration_ms=duration,
        time_to_first_token_ms=first,
    ),
    st.integers(0, 1 << 30),
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 2),
    st.sampled_from(list(Outcome)),
    st.integers(0, 1000),
    st.integers(0, 1_000_000),
    st.none() | st.integers(0, 20_000),
)


def by_period(added: list[RequestRecorded], width_ms: int) -> Counter[tuple[int, str, str, str]]:
    counted: Counter[tuple[int, str, str, str]] = Counter()
    for one in added:
        start = one.admitted_at_ms // width_ms * width_ms
        for name, value in (("requests", 1), ("input", one.input_tokens), ("output", one.output_tokens)):
            counted[start, one.org_id, one.outcome, name] += value
    return counted


@given(st.lists(events, max_size=40))
def test_sums_are_those_of_the_events(added: list[RequestRecorded]) -> None:
    quarters = quarter_hours(added)
    for rollup, width in ((quarters, QUARTER_HOUR_MS), (days(quarters), DAY_MS)):
        found: Counter[tuple[int, str, str, str]] = Counter()
        for group, sums in rollup.items():
            for name, value in (("requests", sums.requests), ("input", sums.input_tokens), ("output", sums.output_tokens)):
                found[group.period_ms, group.org_id, group.outcome, name] += value
            assert sum(sums.durations) == sums.requests
            assert 0 <= sum(sums.first_tokens) <= sums.requests
        assert found == by_period(added, width)


@given(st.lists(events, max_size=20), st.lists(events, max_size=20))
def test_what_is_taken_back_leaves_nothing(kept: list[RequestRecorded], replaced: list[RequestRecorded]) -> None:
    with_both, only_kept = quarter_hours([*kept, *replaced], replaced), quarter_hours(kept)
    assert {group: sums for group, sums in with_both.items() if any(sums.durations)} == only_kept
    assert not any(any(sums.first_tokens) for sums in with_both.values() if not any(sums.durations))


def test_a_duration_on_a_bound_belongs_to_the_bucket_below() -> None:
    (sums,) = quarter_hours([event(number, duration_ms=ms) for number, ms in enumerate((0, 100, 101, 600_000, 600_001))]).values()
    assert not any(sums.first_tokens)
    assert sums.durations == (2, 1, *[0] * (len(DURATION_BOUNDS_MS) - 3), 1, 1)
