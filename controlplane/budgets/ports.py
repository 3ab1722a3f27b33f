"""Port of the budgets: the counters that admission keeps."""

from collections.abc import Sequence
from typing import Protocol

from ratelimit.ports import BudgetKey, BudgetState, StoreUnavailable


class BudgetCounters(Protocol):
    """The part of `ratelimit.ports.AdmissionStore` that the control plane needs. Every call raises StoreUnavailable."""

    async def budgets(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        """Read counters; None for those that do not exist."""

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        """Set the base of a counter, if its `since_ms` is still this one and its base still `was`; say whether it was set."""


class NoCounters:
    """Stands in where no admission store is configured."""

    async def budgets(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        raise StoreUnavailable("this process knows no admission store: set IAS_VALKEY_URL")

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        raise StoreUnavailable("this process knows no admission store: set IAS_VALKEY_URL")
