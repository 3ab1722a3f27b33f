"""Composition of the job that keeps budgets true, for the worker's process."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.budgets.counters_valkey import open_counters
from controlplane.budgets.keeper import BudgetKeeper


async def keep_budgets(engine: AsyncEngine, valkey_url: str, finish: asyncio.Event) -> None:
    """Keep budgets true until `finish` is set; without a URL alerts come from the ledger alone."""
    async with open_counters(valkey_url) as counters:
        await BudgetKeeper(engine, counters, lambda: datetime.now(UTC)).run(finish)
