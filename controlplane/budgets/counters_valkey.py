"""The counters in Valkey: the admission store itself. The only module of the control plane that knows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controlplane.budgets.ports import BudgetCounters, NoCounters
from ratelimit.store_valkey import connect

_DEADLINE_MS = 1_000
"""Nobody's inference waits for these calls."""


@asynccontextmanager
async def open_counters(url: str) -> AsyncIterator[BudgetCounters]:
    """Give the counters of a Valkey, which need not be there yet; an empty URL: there are none."""
    if not url:
        yield NoCounters()
        return
    store = connect(url, _DEADLINE_MS)
    try:
        yield store
    finally:
        await store.aclose()
