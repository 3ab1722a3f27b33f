"""SQL of analytics: sums over the rollups, exact at the ends of a period by rows of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    Select,
    Table,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy import Column as SchemaColumn
from sqlalchemy.dialects.postgresql import INTERVAL

from controlplane.repository import Reach, Repository
from controlplane.schema import ledger
from controlplane.unit_of_work import UnitOfWork
from controlplane.usage.dimensions import ERRORS, Dimension
from controlplane.usage.periods import QUARTER_HOUR, Grain, Part, Period, cover
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS, ROLLUPS, Rollup
from controlplane.usage.tables import TABLES

Filters = Mapping[Dimension, object]
"""The one value of a dimension that counts."""

_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_COUNTS = ("requests", "errors", *_TOKENS)
_HISTOGRAMS = {"durations": ("duration_ms", DURATION_BOUNDS_MS), "first_tokens": ("time_to_first_token_ms", FIRST_TOKEN_BOUNDS_MS)}
"""Of a rollup, with what each counts of a row of the ledger."""
_ROWS = "usage"
_MANY = (Dimension.ORG, Dimension.USER, Dimension.KEY)
"""Dimensions with so many values that their groups are ranked first; of one user there are few."""
_FIRST_TOP = 1 << len(Dimension)
"""Above all bits of GROUPING()."""


def _array(elements: Sequence[str], name: str) -> ColumnElement[Any]:
    """As text: SQLAlchemy would take longer over dozens of equal elements than PostgreSQL."""
    return literal_column(f"ARRAY[{', '.join(elements)}]::bigint[]", ARRAY(BigInteger)).label(name)


def _counted(column: str, bounds: Sequence[int]) -> list[str]:
    """The histogram of a column of the ledger."""
    ends = [f"{column} <= {bound}" for bound in bounds]
    starts = [f"{column} > {bound}" for bound in bounds]
    buckets = [ends[0], *(f"{start} AND {end}" for start, end in zip(starts, ends[1:], strict=False)), starts[-1]]
    return [f"count(*) FILTER (WHERE {bucket})" for bucket in buckets]


_ADDED = [
    _array([f"coalesce(sum({_ROWS}.{name}[{place}]), 0)" for place in range(1, len(bounds) + 2)], name) for name, (_, bounds) in _HISTOGRAMS.items()
]
_COUNTED = [_array(_counted(f"{ledger.name}.{column}", bounds), name) for name, (column, bounds) in _HISTOGRAMS.items()]


class UsageRepository(Repository):
    """Usage within the reach, each answer in one statement. Rows have the columns of `_COUNTS` and `_HISTOGRAMS`, and those that a method names.

    It reads the shortest of `rollups` that keep apart what is asked for; all of them tell the same.
    """

    def __init__(self, uow: UnitOfWork, reach: Reach, rollups: Sequence[Rollup] = ROLLUPS) -> None:
        super().__init__(uow, reach)
        self._rollups = rollups

    async def breakdown(self, period: Period, dimensions: Sequence[Dimension], filters: Filters, most: int) -> tuple[Row[Any], list[list[Row[Any]]]]:
        """Return the total, and for each dimension the `most` groups with the most tokens, as `group`."""
        few = [dimension for dimension in dimensions if dimension not in _MANY or self.reach.user_id is not None]
        many = [dimension for dimension in dimensions if dimension not in few]
        tops = (self._top(place, period, dimension, "tokens", filters, most) for place, dimension in enumerate(many, _FIRST_TOP))
        found = sorted((await self.uow.execute(union_all(self._grouped(period, few, filters, most), *tops))).all(), key=lambda row: row.rank)
        # GROUPING() has a 0 bit exactly for the column that a row is grouped by, the first column in the highest bit.
        all_bits = (1 << len(few)) - 1
        places = {dimension: all_bits ^ 1 << len(few) - 1 >> index for index, dimension in enumerate(few)}
        places |= {dimension: place for place, dimension in enumerate(many, _FIRST_TOP)}
        (total,) = (row for row in found if row.place == all_bits)
        return total, [[row for row in found if row.place == places[dimension]] for dimension in dimensions]

    async def top(self, period: Period, by: Dimension, order: str, filters: Filters, most: int) -> Sequence[Row[Any]]:
        """Return the `most` groups of a dimension with the most tokens, requests or errors, as `group`."""
        rows = (await self.uow.execute(self._top(0, period, by, order, filters, most))).all()
        return sorted(rows, key=lambda row: row.rank)

    async def series(
        self, period: Period, width: timedelta | None, coarsest: Grain, dimensions: Sequence[Dimension], filters: Filters, most: int
    ) -> Sequence[Row[Any]]:
        """Return the sums of each interval (as `start`; None: of the whole period) and group that has any, in order, the first `most`.

        No row may be coarser than an interval. Groups are told by the columns of the dimensions.
        """
        rows = self._rows(period, dimensions, filters, coarsest)
        keys: list[ColumnElement[Any]] = [rows.c[dimension.column] for dimension in dimensions]
        if width is not None:
            keys.insert(0, func.date_bin(literal(width, INTERVAL), rows.c.at, func.to_timestamp(0)).label("start"))
        query = select(*keys, *_sums(rows)).group_by(*keys).order_by(*keys).limit(most)
        return (await self.uow.execute(query)).all()

    async def names(self, name: SchemaColumn[Any], ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return what a column calls the rows with these ids: of orgs, users or keys, those that are gone included."""
        if not ids:
            return {}
        table = name.table
        in_org = Repository(self.uow, Reach(self.reach.org_id))  # whose usage is seen has a name that is seen
        query = in_org.visible(table, table.c.id, name.label("name")).where(table.c.id.in_(ids))
        return {row.id: row.name for row in (await self.uow.execute(query)).all()}

    def _grouped(self, period: Period, few: Sequence[Dimension], filters: Filters, most: int) -> Select[Any]:
        """The total, and the groups of dimensions with few values, of rows that are added up once for all of them."""
        rows = self._rows(period, few, filters)
        names = [dimension.column for dimension in few]
        flat = select(*(rows.c[name] for name in names), *_sums(rows)).group_by(*(rows.c[name] for name in names)).subquery(_ROWS)
        columns = [flat.c[name] for name in names]
        place = func.grouping(*columns) if columns else literal(0)
        order = (func.sum(flat.c.input_tokens + flat.c.output_tokens).desc(), func.sum(flat.c.requests).desc())
        rank = func.row_number().over(partition_by=place, order_by=(*order, *columns)).label("rank")
        group = func.coalesce(*(cast(one, Text) for one in columns), "").label("group")
        grouped = select(place.label("place"), rank, group, *_sums(flat)).group_by(func.grouping_sets(tuple_(), *columns)).subquery()
        return select(grouped).where(grouped.c.rank <= most)

    def _top(self, place: int, period: Period, by: Dimension, order: str, filters: Filters, most: int) -> Select[Any]:
        """Few sums tell who is the first; histograms, which cost the most, are added up of those only."""
        rows = self._rows(period, [by], filters)
        group, requests, tokens = rows.c[by.column], func.sum(rows.c.requests), func.sum(rows.c.input_tokens + rows.c.output_tokens)
        first = tokens if order == "tokens" else func.sum(rows.c[order])
        rank = func.row_number().over(order_by=(first.desc(), requests.desc(), group)).label("rank")
        leading = select(group.label("group"), rank).group_by(group).order_by(rank).limit(most).subquery("leading")
        query = select(literal(place).label("place"), leading.c.rank, cast(leading.c.group, Text).label("group"), *_sums(rows))
        return query.join_from(leading, rows, rows.c[by.column] == leading.c.group).group_by(leading.c.rank, leading.c.group)

    def _rows(self, period: Period, dimensions: Sequence[Dimension], filters: Filters, coarsest: Grain = Grain.DAY) -> FromClause:
        parts = cover(period, coarsest) or [Part(Grain.REQUEST, period)]
        return union_all(*(self._part(part, dimensions, filters) for part in parts)).subquery(_ROWS)

    def _part(self, part: Part, dimensions: Sequence[Dimension], filters: Filters) -> Select[Any]:
        if part.grain is Grain.REQUEST:
            return self._rolled_up(part.period, dimensions, filters)
        table = self._shortest(part.grain, {*dimensions, *filters})
        errors = table.c.errors if "errors" in table.c else case((table.c.outcome.in_(ERRORS), table.c.requests), else_=0).label("errors")
        names = [dimension.column for dimension in dimensions]
        columns = (table.c[name] for name in (*names, "requests", *_TOKENS, *_HISTOGRAMS))
        query = self.visible(table, table.c.period_start.label("at"), *columns, errors)
        return _within(query, table, table.c.period_start, part.period, filters).where(table.c.requests != 0)  # 0: all were replaced

    def _shortest(self, grain: Grain, dimensions: set[Dimension]) -> Table:
        needed = dimensions | ({Dimension.ORG} if self.reach.org_id else set()) | ({Dimension.USER} if self.reach.user_id else set())
        return TABLES[next(rollup for rollup in reversed(self._rollups) if rollup.tells(grain, needed))]

    def _rolled_up(self, period: Period, dimensions: Sequence[Dimension], filters: Filters) -> Select[Any]:
        """Rows of the ledger as a rollup would hold them."""
        quarter_hour = func.date_bin(literal(QUARTER_HOUR, INTERVAL), ledger.c.admitted_at, func.to_timestamp(0)).label("at")
        keys = [quarter_hour, *(ledger.c[dimension.column] for dimension in dimensions)]
        sums = [func.sum(ledger.c[name]).label(name) for name in _TOKENS]
        errors = func.count().filter(ledger.c.outcome.in_(ERRORS)).label("errors")
        query = self.visible(ledger, *keys, func.count().label("requests"), *sums, *_COUNTED, errors)
        return _within(query, ledger, ledger.c.admitted_at, period, filters).group_by(*keys)


def _within(query: Select[Any], table: Table, at: ColumnElement[Any], period: Period, filters: Filters) -> Select[Any]:
    query = query.where(at >= period.start, *(table.c[dimension.column] == value for dimension, value in filters.items()))
    return query if period.end is None else query.where(at < period.end)


def _sums(rows: FromClause) -> list[ColumnElement[Any]]:
    return [*(func.coalesce(func.sum(rows.c[name]), 0).label(name) for name in _COUNTS), *_ADDED]
