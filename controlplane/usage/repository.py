"""SQL of analytics: sums over the ledger, each answer in one pass over its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Row, func, select, tuple_

from controlplane.repository import Repository
from controlplane.schema import ledger

TOP = 1_000
"""Most groups of a breakdown that are answered, those with the most tokens first."""
REQUEST_ROWS = 100

SUMS = (
    func.count().label("requests"),
    func.coalesce(func.sum(ledger.c.input_tokens), 0).label("input_tokens"),
    func.coalesce(func.sum(ledger.c.output_tokens), 0).label("output_tokens"),
    func.coalesce(func.sum(ledger.c.cached_input_tokens), 0).label("cached_input_tokens"),
    func.coalesce(func.sum(ledger.c.reasoning_tokens), 0).label("reasoning_tokens"),
)


@dataclass(frozen=True, slots=True)
class Period:
    """From (inclusive) to (exclusive); None: open."""

    start: datetime
    end: datetime | None

    def holds(self) -> ColumnElement[bool]:
        """Condition for rows of the period: on the ledger's partition key, so that other months are not read."""
        inside = ledger.c.admitted_at >= self.start
        return inside if self.end is None else inside & (ledger.c.admitted_at < self.end)


class UsageRepository(Repository):
    """Rows of `ledger` within the reach."""

    async def sums(self, period: Period, *dimensions: Column[Any]) -> tuple[Row[Any], list[list[Row[Any]]]]:
        """Return the total, and for each dimension its groups."""
        sets = func.grouping_sets(tuple_(), *dimensions)
        # GROUPING() has a 0 bit exactly for the column that a row is grouped by, the first column in the highest bit.
        bits = func.grouping(*dimensions)
        grouped = self.visible(ledger, *dimensions, bits.label("bits"), *SUMS).where(period.holds()).group_by(sets).subquery()
        tokens = grouped.c.input_tokens + grouped.c.output_tokens
        rank = func.row_number().over(partition_by=grouped.c.bits, order_by=(tokens.desc(), grouped.c.requests.desc())).label("rank")
        ranked = select(grouped, rank).subquery()
        rows = (await self.uow.execute(select(ranked).where(ranked.c.rank <= TOP).order_by(ranked.c.rank))).all()
        none_grouped = (1 << len(dimensions)) - 1
        highest = 1 << len(dimensions) - 1
        (total,) = (row for row in rows if row.bits == none_grouped)
        return total, [[row for row in rows if row.bits == none_grouped ^ highest >> index] for index in range(len(dimensions))]

    async def of_request(self, request_id: str) -> Sequence[Row[Any]]:
        """Return the rows of a request id: one, unless a client chose the id more than once."""
        query = self.visible(ledger).where(ledger.c.request_id == request_id).order_by(ledger.c.admitted_at.desc(), ledger.c.event_id.desc())
        return (await self.uow.execute(query.limit(REQUEST_ROWS))).all()

    async def names(self, name: Column[Any], ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return what a column calls the rows with these ids: of orgs, users or keys, those that are gone included."""
        table = name.table
        query = self.visible(table, table.c.id, name.label("name")).where(table.c.id.in_(ids))
        return {row.id: row.name for row in (await self.uow.execute(query)).all()}
