"""SQL of analytics: sums over the rollups, exact at the ends of a period by rows of the ledger; each answer in one statement."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, FromClause, Row, Table, case, column, func, literal, select, tuple_, union_all
from sqlalchemy import Column as SchemaColumn
from sqlalchemy.dialects.postgresql import INTERVAL

from controlplane.repository import Reach, Repository
from controlplane.schema import ledger, usage_days, usage_quarter_hours
from controlplane.usage.dimensions import ERRORS, Dimension
from controlplane.usage.periods import Grain, Part, Period, cover
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS

Filters = Mapping[Dimension, object]
"""The one value of a dimension that counts."""

_TABLES: dict[Grain, Table] = {Grain.DAY: usage_days, Grain.QUARTER_HOUR: usage_quarter_hours, Grain.REQUEST: ledger}
_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_HISTOGRAMS = {"durations": ("duration_ms", DURATION_BOUNDS_MS), "first_tokens": ("time_to_first_token_ms", FIRST_TOKEN_BOUNDS_MS)}
"""Of a rollup, with what each counts of a row of the ledger."""
BUCKETS = {name: tuple(f"{name}_{number}" for number in range(len(bounds) + 1)) for name, (_, bounds) in _HISTOGRAMS.items()}
_SUMS = ("requests", "errors", *_TOKENS, *chain(*BUCKETS.values()))


class UsageRepository(Repository):
    """Usage within the reach. Rows have the columns of the dimensions asked for, and of `_SUMS`."""

    async def breakdown(self, period: Period, dimensions: Sequence[Dimension], filters: Filters, most: int) -> tuple[Row[Any], list[list[Row[Any]]]]:
        """Return the total, and for each dimension the `most` groups with the most tokens."""
        names = [dimension.column for dimension in dimensions]
        rows = self._rows(period, names, filters)
        # The period is summed up before the groups are: what each dimension goes over is no longer than what differs.
        flat = select(*(rows.c[name] for name in names), *_sums(rows)).group_by(*(rows.c[name] for name in names)).subquery()
        columns = [flat.c[name] for name in names]
        # GROUPING() has a 0 bit exactly for the column that a row is grouped by, the first column in the highest bit.
        grouped = select(*columns, func.grouping(*columns).label("bits"), *_sums(flat)).group_by(func.grouping_sets(tuple_(), *columns)).subquery()
        rank = func.row_number().over(partition_by=grouped.c.bits, order_by=(_tokens(grouped).desc(), grouped.c.requests.desc())).label("rank")
        ranked = select(grouped, rank).subquery()
        found = (await self.uow.execute(select(ranked).where(ranked.c.rank <= most).order_by(ranked.c.rank))).all()
        none_grouped = (1 << len(names)) - 1
        highest = 1 << len(names) - 1
        (total,) = (row for row in found if row.bits == none_grouped)
        return total, [[row for row in found if row.bits == none_grouped ^ highest >> index] for index in range(len(names))]

    async def top(self, period: Period, by: Dimension, order: str, filters: Filters, most: int) -> Sequence[Row[Any]]:
        """Return the `most` groups of a dimension with the most tokens, requests or errors."""
        rows = self._rows(period, [by.column], filters)
        grouped = select(rows.c[by.column], *_sums(rows)).group_by(rows.c[by.column]).subquery()
        first = _tokens(grouped) if order == "tokens" else grouped.c[order]
        query = select(grouped).order_by(first.desc(), grouped.c.requests.desc(), grouped.c[by.column]).limit(most)
        return (await self.uow.execute(query)).all()

    async def series(
        self, period: Period, width: timedelta | None, coarsest: Grain, dimensions: Sequence[Dimension], filters: Filters, most: int
    ) -> Sequence[Row[Any]]:
        """Return the sums of each interval (as `start`; None: of the whole period) and group that has any, in order, the first `most`.

        No row may be coarser than an interval.
        """
        names = [dimension.column for dimension in dimensions]
        rows = self._rows(period, names, filters, coarsest)
        keys: list[ColumnElement[Any]] = [rows.c[name] for name in names]
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

    def _rows(self, period: Period, names: Sequence[str], filters: Filters, coarsest: Grain = Grain.DAY) -> FromClause:
        parts = cover(period, coarsest) or [Part(Grain.REQUEST, period)]
        return union_all(*(self._part(part, names, filters) for part in parts)).subquery()

    def _part(self, part: Part, names: Sequence[str], filters: Filters) -> Any:
        table = _TABLES[part.grain]
        single = part.grain is Grain.REQUEST
        at: ColumnElement[Any] = table.c.admitted_at if single else table.c.period_start
        requests: ColumnElement[Any] = literal(1) if single else table.c.requests
        errors = case((table.c.outcome.in_(ERRORS), requests), else_=0).label("errors")
        took = [bucket for name in _HISTOGRAMS for bucket in (_one(table, name) if single else _many(table, name))]
        tokens = [table.c[name] for name in _TOKENS]
        query = self.visible(table, at.label("at"), *(table.c[name] for name in names), requests.label("requests"), errors, *tokens, *took)
        query = query.where(at >= part.period.start, *(table.c[dimension.column] == value for dimension, value in filters.items()))
        if part.period.end is not None:
            query = query.where(at < part.period.end)
        return query if single else query.where(column("requests") != 0)  # 0: all were replaced


def _one(table: Table, histogram: str) -> list[ColumnElement[Any]]:
    """What one row of the ledger adds to a histogram; where it has no such time, nothing."""
    column_name, bounds = _HISTOGRAMS[histogram]
    place = func.width_bucket(table.c[column_name] - 1, literal(list(bounds), ARRAY(BigInteger)))
    return [case((place == number, 1), else_=0).label(name) for number, name in enumerate(BUCKETS[histogram])]


def _many(table: Table, histogram: str) -> list[ColumnElement[Any]]:
    """The buckets of a rollup's row."""
    return [table.c[histogram][number].label(name) for number, name in enumerate(BUCKETS[histogram], 1)]


def _sums(rows: FromClause) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(rows.c[name]), 0).label(name) for name in _SUMS]


def _tokens(rows: FromClause) -> ColumnElement[Any]:
    return rows.c.input_tokens + rows.c.output_tokens
