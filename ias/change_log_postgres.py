"""The change log on PostgreSQL, for readers that follow it: a small pool that only reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ias.change_log import Change, Changes, Position, ReaderUnavailable
from ias.gateway_views import CHANGES, EPOCH

_MAX_CHANGES = 2_000
ACQUIRE_S = 2
"""Also the time to give a connection back: one whose query cannot be cancelled is closed then, and blocks the pool no longer."""

# The names are constants of ours, never input.
_POSITION_SQL = f"SELECT epoch, (SELECT coalesce(max(seq), 0) FROM {CHANGES}) AS seq FROM {EPOCH}"  # noqa: S608  (constants)
_CHANGES_SQL = f"SELECT e.epoch, c.seq, c.kind, c.id FROM {EPOCH} e LEFT JOIN {CHANGES} c ON c.seq > $1 ORDER BY c.seq LIMIT {_MAX_CHANGES}"  # noqa: S608  (constants)


class PostgresChangeLog:
    """Reads the log; a parent of readers of what it names. `load_timeout_s` bounds queries that read everything."""

    def __init__(self, pool: "asyncpg.Pool[Any]", load_timeout_s: float = 120) -> None:
        self._pool = pool
        self._load_timeout_s = load_timeout_s

    async def aclose(self) -> None:
        """Close all connections, without waiting for a server that does not answer."""
        self._pool.terminate()

    async def position(self) -> Position:
        """Epoch and last sequence number."""
        rows = await self._fetch(_POSITION_SQL)
        if not rows:
            raise ReaderUnavailable("the database has no epoch")
        return Position(str(rows[0]["epoch"]), rows[0]["seq"])

    async def changes(self, after_seq: int) -> Changes:
        """The next changes, at most some thousand."""
        rows = await self._fetch(_CHANGES_SQL, after_seq)
        if not rows:
            raise ReaderUnavailable("the database has no epoch")
        return Changes(str(rows[0]["epoch"]), tuple(Change(row["seq"], row["kind"], row["id"]) for row in rows if row["seq"] is not None))

    async def _fetch(self, sql: str, *arguments: object, timeout_s: float | None = None) -> list[Any]:
        async with as_reader_errors(), self._pool.acquire(timeout=ACQUIRE_S) as connection:
            return await connection.fetch(sql, *arguments, timeout=timeout_s)


async def open_pool(url: str, timeout_s: float, connections: int, name: str) -> "asyncpg.Pool[Any]":
    """Make a pool for reading; it connects when it is used first. `timeout_s` bounds each query."""
    session = {"application_name": name, "default_transaction_read_only": "on"}
    options: dict[str, Any] = {"timeout": 5, "command_timeout": timeout_s, "server_settings": session}
    return await asyncpg.create_pool(url, min_size=0, max_size=connections, reset=_nothing, **options)


async def _nothing(_: object) -> None:
    """Nobody leaves anything behind in a session that only reads: resetting it would cost a round trip for each read."""


@asynccontextmanager
async def as_reader_errors() -> AsyncIterator[None]:
    """Whatever the database or the way to it does wrong becomes ReaderUnavailable."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise ReaderUnavailable(f"{type(error).__name__}: {error}") from error
