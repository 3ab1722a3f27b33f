"""SQL of analytics: sums over the rollups, exact at the ends of a period by rows of the ledger; each answer in one statement."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column as SchemaColumn
from sqlalchemy import ColumnElement, FromClause, Row, Table, column, func, literal, select, tuple_, union_all
from sqlalchemy.dialects.postgresql import INTERVAL

from controlplane.repository import Repository
from controlplane.schema import ledger, usage_days, usage_quarter_hours
from controlplane.usage.periods import Grain, Part, Period, cover

TOP = 1_000
"""Most groups of a breakdown that are answered, those with the most tokens first."""
REQUEST_ROWS = 100

_TABLES: dict[Grain, Table] = {Grain.DAY: usage_days, Grain.QUARTER_HOUR: usage_quarter_hours, Grain.REQUEST: ledger}
_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")


class UsageRepository(Repository):
    """Usage within the reach."""

    async def sums(self, period: Period, *dimensions: str) -> tuple[Row[Any], list[list[Row[Any]]]]:
        """Return the total, and for each dimension (a column of the ledger) its groups."""
        rows = self._rows(period, dimensions)
        columns = [rows.c[dimension] for dimension in dimensions]
        # GROUPING() has a 0 bit exactly for the column that a row is grouped by, the first column in the highest bit.
        bits = func.grouping(*columns)
        grouped = select(*columns, bits.label("bits"), *_sums(rows)).group_by(func.grouping_sets(tuple_(), *columns)).subquery()
        tokens = grouped.c.input_tokens + grouped.c.output_tokens
        rank = func.row_number().over(partition_by=grouped.c.bits, order_by=(tokens.desc(), grouped.c.requests.desc())).label("rank")
        ranked = select(grouped, rank).subquery()
        found = (await self.uow.execute(select(ranked).where(ranked.c.rank <= TOP).order_by(ranked.c.rank))).all()
        none_grouped = (1 << len(dimensions)) - 1
        highest = 1 << len(dimensions) - 1
        (total,) = (row for row in found if row.bits == none_grouped)
        return total, [[row for row in found if row.bits == none_grouped ^ highest >> index] for index in range(len(dimensions))]

    async def series(self, period: Period, width: timedelta, coarsest: Grain) -> Sequence[Row[Any]]:
        """Return the sums of each interval of a width that has any, in order of time. No row may be coarser than an interval."""
        rows = self._rows(period, (), coarsest)
        start = func.date_bin(literal(width, INTERVAL), rows.c.at, func.to_timestamp(0)).label("start")
        return (await self.uow.execute(select(start, *_sums(rows)).group_by(start).order_by(start))).all()

    async def of_request(self, request_id: str) -> Sequence[Row[Any]]:
        """Return the rows of a request id: one, unless a client chose the id more than once."""
        query = self.visible(ledger).where(ledger.c.request_id == request_id).order_by(ledger.c.admitted_at.desc(), ledger.c.event_id.desc())
        return (await self.uow.execute(query.limit(REQUEST_ROWS))).all()

    async def names(self, name: SchemaColumn[Any], ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return what a column calls the rows with these ids: of orgs, users or keys, those that are gone included."""
        table = name.table
        query = self.visible(table, table.c.id, name.label("name")).where(table.c.id.in_(ids))
        return {row.id: row.name for row in (await self.uow.execute(query)).all()}

    def _rows(self, period: Period, dimensions: Sequence[str], coarsest: Grain = Grain.DAY) -> FromClause:
        parts = cover(period, coarsest) or [Part(Grain.REQUEST, period)]
        return union_all(*(self._part(part, dimensions) for part in parts)).subquery()

    def _part(self, part: Part, dimensions: Sequence[str]) -> Any:
        table = _TABLES[part.grain]
        at: ColumnElement[Any] = table.c.admitted_at if part.grain is Grain.REQUEST else table.c.period_start
        requests = literal(1).label("requests") if part.grain is Grain.REQUEST else table.c.requests
        query = self.visible(table, at.label("at"), *(table.c[name] for name in dimensions), requests, *(table.c[name] for name in _TOKENS))
        query = query.where(at >= part.period.start)
        if part.period.end is not None:
            query = query.where(at < part.period.end)
        return query if part.grain is Grain.REQUEST else query.where(column("requests") != 0)  # 0: all were replaced


def _sums(rows: FromClause) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(rows.c[name]), 0).label(name) for name in ("requests", *_TOKENS)]
