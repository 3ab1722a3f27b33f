"""SQL of budgets and their alerts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Row, Select, Text, Uuid, bindparam, func, or_, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from controlplane.budgets.rules import Budget, at_ms
from controlplane.limits.subject import Subject
from controlplane.repository import Repository
from controlplane.schema import BUDGET_VERSIONS, budget_alerts, budgets, orgs
from ias.gateway_views import SPENT
from ratelimit.ports import BudgetKey, Period

_FIELDS = tuple(Budget.__slots__)
_SPENT = text(
    f"SELECT {SPENT}(b.org, b.scope, b.start, b.stop) FROM unnest(:orgs, :scopes, :starts, :stops)"  # noqa: S608  # only constants
    " WITH ORDINALITY AS b (org, scope, start, stop, place) ORDER BY b.place"
).bindparams(
    bindparam("orgs", type_=ARRAY(Uuid)),
    bindparam("scopes", type_=ARRAY(Text)),
    bindparam("starts", type_=ARRAY(DateTime(timezone=True))),
    bindparam("stops", type_=ARRAY(DateTime(timezone=True))),
)


class BudgetRepository(Repository):
    """Rows of `budgets` and `budget_alerts`."""

    async def of(self, subject: Subject) -> list[Budget]:
        """Return the budgets of a subject, of the shortest period first."""
        rows = await self.uow.execute(self.visible(budgets).where(budgets.c.subject_id == subject.subject_id))
        return sorted((_budget(row) for row in rows), key=lambda budget: list(Period).index(budget.period))

    async def find(self, subject: Subject, period: Period) -> Budget | None:
        """Return one of them."""
        statement = self.visible(budgets).where(budgets.c.subject_id == subject.subject_id, budgets.c.period == period)
        row = (await self.uow.execute(statement)).one_or_none()
        return _budget(row) if row else None

    async def put(self, budget: Budget) -> None:
        """Write a budget under a new version."""
        values: dict[str, Any] = {name: getattr(budget, name) for name in _FIELDS if name != "version"} | {"thresholds": list(budget.thresholds)}
        changed = {**values, "version": BUDGET_VERSIONS.next_value(), "updated_at": func.now()}
        await self.uow.execute(insert(budgets).values(values).on_conflict_do_update(index_elements=["subject_id", "period"], set_=changed))

    async def remove(self, budget: Budget) -> None:
        """Delete a budget."""
        statement = self.delete(budgets).where(budgets.c.subject_id == budget.subject_id, budgets.c.period == budget.period)
        await self.uow.execute(statement)

    async def living(self, after: tuple[UUID, str] | None, limit: int) -> list[Budget]:
        """Return budgets of orgs that are not deleted, in the order of (subject, period), behind `after`."""
        statement = self.visible(budgets).join(orgs, orgs.c.id == budgets.c.org_id).where(orgs.c.status != "deleted")
        place = tuple_(budgets.c.subject_id, budgets.c.period)
        if after is not None:
            statement = statement.where(place > tuple_(*after))
        return [_budget(row) for row in await self.uow.execute(statement.order_by(budgets.c.subject_id, budgets.c.period).limit(limit))]

    async def spent(self, sums: Sequence[tuple[BudgetKey, int]]) -> list[int]:
        """Return the ledger's sums of counters: of requests admitted from the period's begin until before a moment (ms)."""
        arguments = {
            "orgs": [UUID(key.org_id) for key, _ in sums],
            "scopes": [key.scope for key, _ in sums],
            "starts": [at_ms(key.start_ms) for key, _ in sums],
            "stops": [at_ms(until_ms) for _, until_ms in sums],
        }
        return list((await self.uow.execute(_SPENT.bindparams(**arguments))).scalars()) if sums else []

    async def raise_alert(self, alert_id: UUID, budget: Budget, start_ms: int, threshold: int, tokens: int, spent: int) -> bool:
        """Note that a threshold was reached; False when that is known already."""
        values = {
            **{name: getattr(budget, name) for name in ("subject_id", "scope", "org_id", "user_id", "period")},
            "id": alert_id,
            "period_start": at_ms(start_ms),
            "threshold": threshold,
            "tokens": tokens,
            "spent": spent,
        }
        return (await self.uow.execute(insert(budget_alerts).values(values).on_conflict_do_nothing(constraint="budget_alerts_once"))).rowcount == 1

    def alerts(self, of_user: UUID | None) -> Select[Any]:
        """Select the alerts within the reach; with a user only those of the org itself and of the user."""
        statement = self.visible(budget_alerts)
        return statement if of_user is None else statement.where(or_(budget_alerts.c.user_id.is_(None), budget_alerts.c.user_id == of_user))


def _budget(row: Row[Any]) -> Budget:
    values = {name: getattr(row, name) for name in _FIELDS}
    return Budget(**values | {"period": Period(row.period), "thresholds": tuple(row.thresholds)})
