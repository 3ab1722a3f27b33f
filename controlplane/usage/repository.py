"""Analytics: sums over the rollups, exact at the ends of a period by rows of the ledger."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row

from controlplane.repository import Reach, Repository
from controlplane.unit_of_work import UnitOfWork
from controlplane.usage import analytics_sql as sql
from controlplane.usage.analytics_sql import Filters, Form
from controlplane.usage.dimensions import Dimension
from controlplane.usage.periods import WIDTHS, Grain, Period
from controlplane.usage.rollups import ROLLUPS, Rollup

_MANY = (Dimension.ORG, Dimension.USER, Dimension.KEY)
"""Dimensions with so many values that their groups are ranked first; of one user there are few."""


class UsageRepository(Repository):
    """Usage within the reach, each answer in one statement. Rows have counts and histograms, and the columns that a method names.

    It reads the shortest of `rollups` that keep apart what is asked for; all of them tell the same.
    """

    def __init__(self, uow: UnitOfWork, reach: Reach, rollups: Sequence[Rollup] = ROLLUPS) -> None:
        super().__init__(uow, reach)
        self._rollups = tuple(rollups)

    async def breakdown(self, period: Period, dimensions: Sequence[Dimension], filters: Filters, most: int) -> tuple[Row[Any], list[list[Row[Any]]]]:
        """Return the total, and for each dimension the `most` groups with the most tokens, as `group`."""
        few = tuple(dimension for dimension in dimensions if dimension not in _MANY or self.reach.user_id is not None)
        many = tuple(dimension for dimension in dimensions if dimension not in few)
        form, values = self._form(period, Grain.WEEK, filters)
        rows = (await self.uow.execute(sql.breakdown(form, few, many), values | {"most": most})).all()
        found = sorted(rows, key=lambda row: row.rank)
        # GROUPING() has a 0 bit exactly for the column that a row is grouped by, the first column in the highest bit.
        all_bits = (1 << len(few)) - 1
        places = {dimension: all_bits ^ 1 << len(few) - 1 >> index for index, dimension in enumerate(few)}
        places |= {dimension: place for place, dimension in enumerate(many, sql.FIRST_TOP)}
        (total,) = (row for row in found if row.place == all_bits)
        return total, [[row for row in found if row.place == places[dimension]] for dimension in dimensions]

    async def top(self, period: Period, by: Dimension, order: str, filters: Filters, most: int) -> Sequence[Row[Any]]:
        """Return the `most` groups of a dimension with the most tokens, requests or errors, as `group`."""
        form, values = self._form(period, Grain.WEEK, filters)
        rows = (await self.uow.execute(sql.top(form, by, order), values | {"most": most})).all()
        return sorted(rows, key=lambda row: row.rank)

    async def series(
        self, period: Period, width: timedelta | None, dimensions: Sequence[Dimension], filters: Filters, most: int
    ) -> Sequence[Row[Any]]:
        """Return the sums of each interval (as `start`; None: of the whole period) and group that has any, in order, the first `most`.

        An interval is a whole number of quarter hours. Groups are told by the columns of the dimensions.
        """
        coarsest = next(grain for grain, one in WIDTHS.items() if width is None or not width % one)
        form, values = self._form(period, coarsest, filters)
        return (await self.uow.execute(sql.series(form, tuple(dimensions), width), values | {"most": most})).all()

    async def names(self, name: Column[Any], ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return what a column calls the rows with these ids: of orgs, users or keys, those that are gone included."""
        if not ids:
            return {}
        table = name.table
        in_org = Repository(self.uow, Reach(self.reach.org_id))  # whose usage is seen has a name that is seen
        query = in_org.visible(table, table.c.id, name.label("name")).where(table.c.id.in_(ids))
        return {row.id: row.name for row in (await self.uow.execute(query)).all()}

    def _form(self, period: Period, coarsest: Grain, filters: Filters) -> tuple[Form, dict[str, object]]:
        return sql.form_of(self.reach, period, coarsest, filters, self._rollups)
