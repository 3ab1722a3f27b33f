"""Any period is covered by parts that touch and never overlap, with whole weeks, days, hours and quarter hours in the middle."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.usage.periods import QUARTER_HOUR, WIDTHS, Grain, Period, cover

moments = st.datetimes(datetime(2020, 1, 1), datetime(2020, 3, 1), timezones=st.just(UTC)) | st.sampled_from(  # noqa: DTZ001
    [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 2, 0, 15, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC)]
)
WIDTH_OF = WIDTHS | {Grain.REQUEST: timedelta(microseconds=1)}
GRAINS = [
    [Grain.WEEK, Grain.DAY, Grain.QUARTER_HOUR],
    [Grain.DAY, Grain.QUARTER_HOUR],
    [Grain.HOUR, Grain.QUARTER_HOUR],
    [Grain.QUARTER_HOUR],
    list(WIDTHS),
]


@given(moments, moments | st.none(), st.sampled_from(GRAINS))
def test_parts_touch_and_are_whole(start: datetime, end: datetime | None, grains: list[Grain]) -> None:
    parts = cover(Period(start, end), grains)
    if end is not None and start >= end:
        assert parts == []
        return
    assert (parts[0].period.start, parts[-1].period.end) == (start, end)
    for before, after in itertools.pairwise(parts):
        assert before.period.end == after.period.start
    for part in parts:
        assert part.grain in {*grains, Grain.REQUEST}
        assert part.period.end is None or part.period.start < part.period.end
        for bound in (part.period.start, part.period.end):
            whole = bound is None or (bound - datetime(2020, 1, 6, tzinfo=UTC)) % WIDTH_OF[part.grain] == timedelta(0)
            assert whole
    requests = sum(((part.period.end or start) - part.period.start for part in parts if part.grain is Grain.REQUEST), timedelta(0))
    assert requests < 2 * QUARTER_HOUR


@pytest.mark.parametrize("years", [(9999, 9999), (1, 9999)], ids=str)
def test_the_ends_of_the_calendar_are_no_trap(years: tuple[int, int]) -> None:
    start, end = (
        datetime(years[0], 1 if years[0] == 1 else 12, 1 if years[0] == 1 else 31, 23, 50, tzinfo=UTC),
        datetime(years[1], 12, 31, 23, 55, tzinfo=UTC),
    )
    parts = cover(Period(start, end), WIDTHS)
    assert (parts[0].period.start, parts[-1].period.end) == (start, end)
