"""Which rows hold the usage of a period: rollups of weeks, days, hours and quarter hours, and the ledger for what is left at the ends. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_LATEST = datetime.max.replace(tzinfo=UTC)
ORIGIN = datetime(2001, 1, 1, tzinfo=UTC)
"""A Monday: weeks begin on Mondays."""


class Grain(StrEnum):
    """Where rows come from, by the time that one of them stands for."""

    WEEK = "week"
    DAY = "day"
    HOUR = "hour"
    QUARTER_HOUR = "quarter_hour"
    REQUEST = "request"


QUARTER_HOUR = timedelta(minutes=15)
DAY = timedelta(days=1)
WIDTHS = {Grain.WEEK: 7 * DAY, Grain.DAY: DAY, Grain.HOUR: timedelta(hours=1), Grain.QUARTER_HOUR: QUARTER_HOUR}
"""Of the grains that rollups have, the coarsest first."""


@dataclass(frozen=True, slots=True)
class Period:
    """From (inclusive) to (exclusive); None: open."""

    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a period, and the rows that cover it."""

    grain: Grain
    period: Period


def cover(period: Period, grains: Collection[Grain]) -> list[Part]:
    """Split a period into parts that touch, none of them empty, each of the coarsest rows of these grains that fit.

    An open end is covered by the coarsest rows: what is yet to come falls into them whole.
    """
    return _cover(period, [(grain, width) for grain, width in WIDTHS.items() if grain in grains])


def begin_of_day(moment: datetime) -> datetime:
    """Return the midnight (UTC) before a moment; raise OverflowError before the calendar."""
    return _floor(moment, DAY)


def _cover(period: Period, grains: list[tuple[Grain, timedelta]]) -> list[Part]:
    if period.end is not None and period.start >= period.end:
        return []
    if not grains:
        return [Part(Grain.REQUEST, period)]
    (grain, width), finer = grains[0], grains[1:]
    if period.start > _LATEST - width:
        return _cover(period, finer)
    first = _floor(period.start + width - timedelta(microseconds=1), width)
    last = None if period.end is None else _floor(period.end, width)
    if last is not None and first >= last:
        return _cover(period, finer)
    tail = [] if last is None else _cover(Period(last, period.end), finer)
    return [*_cover(Period(period.start, first), finer), Part(grain, Period(first, last)), *tail]


def _floor(moment: datetime, width: timedelta) -> datetime:
    return moment - (moment - ORIGIN) % width
