"""Rollups are what the ledger's rows sum up to, whatever is added and taken back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controlplane.usage.periods import Grain
from controlplane.usage.rollups import DURATION_BOUNDS_MS, QUARTER_HOURS, Rollup, roll_up
from ias.ids import uuid7
from ias.usage_event import Outcome, RequestRecorded
from tests.support.usage_events import event, some_id

DAY_MS = 86_400_000
WIDTHS_MS = {Grain.QUARTER_HOUR: DAY_MS // 96, Grain.HOUR: DAY_MS // 24, Grain.DAY: DAY_MS, Grain.WEEK: 7 * DAY_MS}
MONDAY_MS = 4 * DAY_MS
"""5 January 1970."""
MIDNIGHT_MS = 1_790_000_000_000 // DAY_MS * DAY_MS

events = st.builds(
    lambda number, ms, org, key, model, outcome, tokens, duration, first: event(
        number,
        outcome,
        event_id=str(uuid7(MIDNIGHT_MS + ms, number)),
        org_id=some_id(org),
        key_id=some_id(10 + key),
        publication_id=some_id(20 + model),
        model=f"m{model}",
        input_tokens=tokens,
        output_tokens=1,
        duration_ms=duration,
        time_to_first_token_ms=first,
    ),
    st.integers(0, 1 << 30),
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 1),
    st.sampled_from(list(Outcome)),
    st.integers(0, 1000),
    st.integers(0, 1_000_000),
    st.none() | st.integers(0, 20_000),
)


def counted(added: list[RequestRecorded], rollup: Rollup) -> Counter[tuple[int, tuple[str, ...], str]]:
    """The sums of each row, straight from the events."""
    found: Counter[tuple[int, tuple[str, ...], str]] = Counter()
    for one in added:
        start = one.admitted_at_ms - (one.admitted_at_ms - MONDAY_MS) % WIDTHS_MS[rollup.grain]
        group = tuple(getattr(one, dimension.column) for dimension in rollup.dimensions)
        for name, value in (("requests", 1), ("input", one.input_tokens), ("output", one.output_tokens)):
            found[start, group, name] += value
    return found


@given(st.lists(events, max_size=40))
def test_sums_are_those_of_the_events(added: list[RequestRecorded]) -> None:
    for rollup, rows in roll_up(added).items():
        found: Counter[tuple[int, tuple[str, ...], str]] = Counter()
        for row, sums in rows.items():
            group = tuple(getattr(row, dimension.column) for dimension in rollup.dimensions)
            for name, value in (("requests", sums.requests), ("input", sums.input_tokens), ("output", sums.output_tokens)):
                found[row.period_ms, group, name] += value
            assert sum(sums.durations) == sums.requests
            assert 0 <= sum(sums.first_tokens) <= sums.requests
        assert found == counted(added, rollup)
        assert len(found) == 3 * len(rows), "one row for each group"


@given(st.lists(events, max_size=20), st.lists(events, max_size=20))
def test_what_is_taken_back_leaves_nothing(kept: list[RequestRecorded], replaced: list[RequestRecorded]) -> None:
    with_both, only_kept = roll_up([*kept, *replaced], replaced), roll_up(kept)
    for rollup, rows in with_both.items():
        assert {group: sums for group, sums in rows.items() if any(sums.durations)} == only_kept[rollup]
        assert not any(any(sums.first_tokens) for sums in rows.values() if not any(sums.durations))


def test_a_duration_on_a_bound_belongs_to_the_bucket_below() -> None:
    (sums,) = roll_up([event(number, duration_ms=ms) for number, ms in enumerate((0, 100, 101, 600_000, 600_001))])[QUARTER_HOURS].values()
    assert not any(sums.first_tokens)
    assert sums.durations == (2, 1, *[0] * (len(DURATION_BOUNDS_MS) - 3), 1, 1)
