"""What people ask of the rollups."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Column, Row

from controlplane.errors import Problem
from controlplane.repository import Reach
from controlplane.schema import keys, orgs, users
from controlplane.unit_of_work import UnitOfWork
from controlplane.usage import schemas
from controlplane.usage.dimensions import Dimension
from controlplane.usage.periods import Period, begin_of_day
from controlplane.usage.repository import UsageRepository
from controlplane.usage.sums import GROUPS, GroupSums, Point, Sums, sums_of

DEFAULT_DAYS = 30
LONGEST_DAYS = 400
MOST_POINTS = 1_000
MOST_GROUPED_POINTS = 10_000
MOST_ROWS = 50_000
"""Of a report."""

_View = TypeVar("_View", bound=schemas.UsageView)
_NAMES: dict[Dimension, Column[Any]] = {Dimension.ORG: orgs.c.slug, Dimension.USER: users.c.username, Dimension.KEY: keys.c.name}
_SUMS = ("requests", "errors", "error_rate", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_LATENCY = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Span:
    """Whose usage is asked for."""

    uow: UnitOfWork
    reach: Reach

    @property
    def repository(self) -> UsageRepository:
        """Reads no more than that."""
        return UsageRepository(self.uow, self.reach)


def period_of(query: schemas.PeriodQuery, now: datetime) -> Period:
    """Return the period that a query asks for; raise Problem for one that is empty or too long."""
    try:
        end = query.to and query.to.astimezone(UTC)
        start = query.from_.astimezone(UTC) if query.from_ else begin_of_day((end or now) - timedelta(days=DEFAULT_DAYS))
    except OverflowError:
        raise Problem(422, "invalid_period", "The period leaves the calendar: use years from 1 to 9999 in UTC.") from None
    if (end or now) < start:
        raise Problem(422, "invalid_period", "The period ends before it begins: 'from' must be before 'to' and before now.")
    if (end or now) - start > timedelta(days=LONGEST_DAYS):
        raise Problem(422, "invalid_period", f"The period is longer than {LONGEST_DAYS} days. Ask for shorter ones.")
    return Period(start, end)


async def usage(span: Span, query: schemas.UsageQuery, view: type[_View]) -> _View:
    """Sum up a period, with every breakdown that the view has."""
    period = period_of(query, datetime.now(UTC))
    dimensions = [dimension for dimension in Dimension if f"by_{dimension}" in view.model_fields]
    total, breakdowns = await span.repository.breakdown(period, dimensions, query.filters(), query.top)
    fields: dict[str, Any] = {**_bounds(period), "totals": sums_of(Sums, total)}
    for dimension, rows in zip(dimensions, breakdowns, strict=True):
        names = await _names(span, dimension, [row.group for row in rows])
        fields[f"by_{dimension}"] = [sums_of(GROUPS[dimension][0], row, **_group(dimension, row.group, names)) for row in rows]
    return view.model_validate(fields)


async def series(span: Span, query: schemas.SeriesQuery) -> schemas.SeriesView:
    """Sum up each interval of a period; raise Problem for more points than are answered at once."""
    period = period_of(query, datetime.now(UTC))
    _bound_intervals(period, query.interval)
    dimensions = [query.by] if query.by else []
    rows = await span.repository.series(period, query.interval.width, dimensions, query.filters(), MOST_GROUPED_POINTS + 1)
    if len(rows) > MOST_GROUPED_POINTS:
        raise Problem(422, "invalid_period", f"The series has more than {MOST_GROUPED_POINTS} points. Ask for a shorter period, or narrow it.")
    points = [sums_of(Point, row, start=row.start, group=str(getattr(row, query.by.column)) if query.by else None) for row in rows]
    return schemas.SeriesView.model_validate({**_bounds(period), "interval": query.interval, "by": query.by, "points": points})


async def top(span: Span, query: schemas.TopQuery) -> schemas.TopView:
    """Return the groups with the most of something."""
    period = period_of(query, datetime.now(UTC))
    rows = await span.repository.top(period, query.by, query.order, query.filters(), query.limit)
    names = await _names(span, query.by, [row.group for row in rows])
    items = [sums_of(GroupSums, row, group=row.group, name=names.get(row.group)) for row in rows]
    return schemas.TopView.model_validate({**_bounds(period), "by": query.by, "order": query.order, "items": items})


async def report(span: Span, query: schemas.ReportQuery) -> tuple[list[str], list[list[object]]]:
    """Return the head and the rows of a report; raise Problem for more than fit into one."""
    period = period_of(query, datetime.now(UTC))
    dimensions = list(dict.fromkeys(query.by))
    if query.interval:
        _bound_intervals(period, query.interval)
    width = query.interval.width if query.interval else None
    rows = await span.repository.series(period, width, dimensions, query.filters(), MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise Problem(422, "report_too_long", f"The report has more than {MOST_ROWS} rows. Ask for a shorter period, fewer dimensions, or narrow it.")
    names = {one: await _names(span, one, [str(getattr(row, one.column)) for row in rows]) for one in dimensions if one in _NAMES}
    head = ["start"] if query.interval else []
    for dimension in dimensions:
        head += [dimension.column, f"{dimension}_name"] if dimension in _NAMES else [dimension.column]
    return [*head, *_SUMS, *_LATENCY, *(f"first_token_{name}" for name in _LATENCY)], [_report_row(row, query, dimensions, names) for row in rows]


def _report_row(row: Row[Any], query: schemas.ReportQuery, dimensions: Sequence[Dimension], names: dict[Dimension, dict[str, str]]) -> list[object]:
    cells: list[object] = [row.start] if query.interval else []
    for dimension in dimensions:
        group = str(getattr(row, dimension.column))
        cells += [group, names[dimension].get(group)] if dimension in _NAMES else [group]
    sums = sums_of(Sums, row)
    latencies = (getattr(latency, name) for latency in (sums.latency, sums.first_token) for name in _LATENCY)
    return [*cells, *(getattr(sums, name) for name in _SUMS), *latencies]


def _bound_intervals(period: Period, interval: schemas.Interval) -> None:
    if ((period.end or datetime.now(UTC)) - period.start) / interval.width > MOST_POINTS:
        raise Problem(422, "invalid_period", f"The period has more than {MOST_POINTS} intervals. Ask for a shorter one, or for longer intervals.")


def _group(dimension: Dimension, group: str, names: dict[str, str]) -> dict[str, Any]:
    """The fields that say whose sums these are."""
    _, typed = GROUPS[dimension]
    name = {_NAMES[dimension].name: names.get(group)} if dimension in _NAMES else {}
    return {dimension.column: typed(group), **name}


async def _names(span: Span, dimension: Dimension, groups: Sequence[str]) -> dict[str, str]:
    if dimension not in _NAMES:
        return {}
    found = await span.repository.names(_NAMES[dimension], [UUID(group) for group in set(groups)])
    return {str(known): name for known, name in found.items()}


def _bounds(period: Period) -> dict[str, Any]:
    return {"from_": period.start, "to": period.end}
