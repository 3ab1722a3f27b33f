"""Compares what admission counts with what the ledger says, for every budget: `ias reconcile`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.budgets.ports import BudgetCounters
from controlplane.budgets.repository import BudgetRepository
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ratelimit.ports import BudgetKey, BudgetState

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Comparison:
    """One budget: its counter, if there is one, and the ledger's sum of the period."""

    key: BudgetKey
    counter: BudgetState | None
    ledger: int

    @property
    def spent(self) -> int | None:
        """What admission counts; None: nothing was admitted in this period yet, or the base is not known."""
        return None if self.counter is None or self.counter.base is None else self.counter.base + self.counter.own

    @property
    def difference(self) -> int:
        """Counter minus ledger; 0 without a counter: it will begin with the ledger's sum."""
        return 0 if self.spent is None else self.spent - self.ledger


async def compare(engine: AsyncEngine, counters: BudgetCounters, now: datetime) -> AsyncIterator[Comparison]:
    """Compare every budget in its current period. Raises StoreUnavailable, and what PostgreSQL raises.

    Requests that ended are in the counter at once and in the ledger a moment later: with traffic, a difference that
    stays is one, not a difference that is seen once.
    """
    after = None
    while True:
        async with unit_of_work(engine) as uow:
            repository = BudgetRepository(uow, EVERYTHING)
            if not (page := await repository.living(after, _PAGE)):
                return
            after = (page[-1].subject_id, page[-1].period)
            keys = [budget.counter(now) for budget in page]
            states = await counters.budgets(keys)
            sums = await repository.spent([(key, key.end_ms) for key in keys])
        for key, state, ledger in zip(keys, states, sums, strict=True):
            yield Comparison(key, state, ledger)


def table(comparisons: list[Comparison]) -> str:
    """Lay the comparisons out for people: a line for each budget, those that differ marked."""
    head = ("org", "scope", "period", "counter", "ledger", "difference", "held", "")
    rows = [head, *(_row(comparison) for comparison in comparisons)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(comparison: Comparison) -> tuple[str, ...]:
    key, counter = comparison.key, comparison.counter
    spent = "-" if comparison.spent is None else str(comparison.spent)
    held = "-" if counter is None else str(counter.held)
    mark = "DIFFERS" if comparison.difference else ""
    return (key.org_id, key.scope, key.calendar, spent, str(comparison.ledger), str(comparison.difference), held, mark)
