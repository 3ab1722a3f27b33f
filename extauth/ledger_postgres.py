"""The budget ledger on PostgreSQL: one function that tells one sum. Connections of its own, so that sums never delay the change log."""

from typing import Any

import asyncpg

from extauth.store_postgres import NAME
from ias.change_log_postgres import ACQUIRE_S, as_reader_errors, open_pool
from ias.gateway_views import SPENT
from ratelimit.ports import BudgetKey

_CONNECTIONS = 2
# Times are passed as milliseconds, the unit in which ids carry the time of admission, so that no boundary is rounded.
_SPENT_SQL = f"SELECT {SPENT}($1::text::uuid, $2, to_timestamp($3::bigint / 1000.0), to_timestamp($4::bigint / 1000.0))"


class PostgresBudgetLedger:
    """Reads what was spent. `timeout_s` bounds each query."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, timeout_s: float) -> "PostgresBudgetLedger":
        """Make the ledger; the database need not be there yet."""
        return cls(await open_pool(url, timeout_s, _CONNECTIONS, NAME))

    async def aclose(self) -> None:
        """Close all connections, without waiting for a server that does not answer."""
        self._pool.terminate()

    async def spent(self, budget: BudgetKey, until_ms: int) -> int:
        async with as_reader_errors(), self._pool.acquire(timeout=ACQUIRE_S) as connection:
            spent: int = await connection.fetchval(_SPENT_SQL, budget.org_id, budget.scope, budget.start_ms, until_ms)
            return spent
