"""PostgreSQL: the engine, and bringing a database to this version's schema."""

from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from controlplane import advisory_locks
from controlplane.database_pool import FairPool, drop_closed_connections

_CONNECT_TIMEOUT_S = 5
_WAIT_S = 30
"""How long a request may wait for a connection: as long as a statement may take."""
_STATEMENT_TIMEOUT = "30s"
_LOCK_TIMEOUT = "10s"


class DatabaseIsNewer(Exception):
    """The database was migrated by a newer version; this one must not write to it."""


def create_engine(url: str, pool_size: int = 10) -> AsyncEngine:
    """Make an engine for a libpq URL, Unix sockets included (`postgresql://user:pw@/db?host=/dir`): asyncpg reads the URL itself."""

    async def connect(**_: Any) -> "asyncpg.Connection[asyncpg.Record]":
        settings = {"application_name": "ias-controlplane", "timezone": "UTC", "statement_timeout": _STATEMENT_TIMEOUT, "lock_timeout": _LOCK_TIMEOUT}
        return await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S, server_settings=settings)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=FairPool, pool_size=pool_size, max_overflow=0, pool_timeout=_WAIT_S
    )
    drop_closed_connections(engine)
    return engine


async def migrate(engine: AsyncEngine) -> str:
    """Apply what is missing, all or nothing, and return the revision; safe to call from many processes. Raises DatabaseIsNewer."""
    async with engine.begin() as connection:
        # Wait long for another migration, shortly for the tables: a queued exclusive lock stops everyone else.
        await connection.execute(text("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10min', true)"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": advisory_locks.MIGRATION})
        await connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), {"timeout": _LOCK_TIMEOUT})
        return await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> str:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_heads()
    if unknown := [revision for revision in current if revision not in known]:
        raise DatabaseIsNewer(f"the database has revision {', '.join(unknown)}, which this version does not know: install the newer version")
    command.upgrade(config, "head")
    (head,) = MigrationContext.configure(connection).get_current_heads()
    return head
