"""The ledger in PostgreSQL, as the consumer writes it: one transaction for rows, positions and last use of the keys."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from controlplane.usage.ports import LedgerUnavailable, Position, Positions, Written
from controlplane.usage.rules import count, instant, last_used, merge
from ias.usage_event import RequestRecorded

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 30.0

# Columns with their types, in the order of `_row`.
_COLUMNS = {
    "admitted_at": "timestamptz",
    "event_id": "uuid",
    "epoch": "bigint",
    "org_id": "uuid",
    "user_id": "uuid",
    "key_id": "uuid",
    "publication_id": "uuid",
    "model": "text",
    "upstream_model": "text",
    "endpoint": "text",
    "stream": "boolean",
    "outcome": "text",
    "http_status": "integer",
    "input_tokens": "bigint",
    "cached_input_tokens": "bigint",
    "output_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "usage_source": "text",
    "held_tokens": "bigint",
    "time_to_first_token_ms": "bigint",
    "duration_ms": "bigint",
    "ended_at": "timestamptz",
    "request_id": "text",
    "tags": "text",
}
_NAMES = ", ".join(_COLUMNS)
_VALUES = ", ".join("tags::jsonb" if name == "tags" else name for name in _COLUMNS)
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_COLUMNS.values(), 1))
_REPLACE = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("admitted_at", "event_id"))

# A row keeps the time of its first recording, so that of this transaction marks an inserted one (`xmax` cannot be read
# through a partitioned table). Rows that the WHERE left as they were are not returned.
_INSERT = f"""
INSERT INTO ledger AS kept ({_NAMES})
SELECT {_VALUES} FROM unnest({_ARRAYS}) AS event ({_NAMES})
ON CONFLICT (admitted_at, event_id) DO UPDATE SET {_REPLACE}
WHERE kept.outcome = 'lost' AND excluded.outcome <> 'lost'
RETURNING recorded_at = now() AS inserted
"""  # noqa: S608  # only the constants above

_MOVE = """
INSERT INTO spool_offsets (spool, segment, byte_offset) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT (spool) DO UPDATE SET segment = excluded.segment, byte_offset = excluded.byte_offset, updated_at = now()
"""

# Rows are locked in order of id, so that two workers cannot deadlock.
_USED = """
WITH used AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)),
locked AS (
  SELECT keys.id, used.at FROM keys JOIN used USING (id)
  WHERE keys.last_used_at IS NULL OR keys.last_used_at < used.at ORDER BY keys.id FOR NO KEY UPDATE OF keys
)
UPDATE keys SET last_used_at = locked.at FROM locked WHERE keys.id = locked.id
"""


class PostgresLedger:
    """Writes through one connection of its own, opened when it is needed."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._months_ensured_in: tuple[int, int] | None = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def positions(self) -> dict[str, Position]:
        async with self._connected() as connection:
            rows = await connection.fetch("SELECT spool, segment, byte_offset FROM spool_offsets")
        return {row["spool"]: Position(row["segment"], row["byte_offset"]) for row in rows}

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        unique = merge(events)
        written = Written()
        async with self._connected() as connection:
            await self._ensure_months(connection)
            async with connection.transaction():
                if unique:
                    rows = await connection.fetch(_INSERT, *zip(*map(_row, unique), strict=True))
                    inserted = sum(row["inserted"] for row in rows)
                    written = Written(inserted, len(rows) - inserted, len(events) - len(rows))
                    used = last_used(unique)
                    await connection.execute(_USED, list(used), list(used.values()))
                names = sorted(positions)
                await connection.execute(_MOVE, names, [positions[n].segment for n in names], [positions[n].offset for n in names])
        return written

    async def _ensure_months(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Have a partition for this month and the next; rows of any other month go to the default partition."""
        now = datetime.now(UTC)
        if self._months_ensured_in != (now.year, now.month):
            await connection.execute("SELECT ledger_add_month(now()), ledger_add_month(now() + interval '1 month')")
            self._months_ensured_in = (now.year, now.month)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Give the connection; whatever goes wrong with it is LedgerUnavailable, and the next call opens a new one."""
        try:
            if self._connection is None or self._connection.is_closed():
                settings = {"application_name": "ias-worker", "timezone": "UTC", "statement_timeout": "30s", "lock_timeout": "10s"}
                self._connection = await asyncpg.connect(
                    self._database_url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S, server_settings=settings
                )
            yield self._connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            raise LedgerUnavailable(f"{type(error).__name__}: {error}") from error


def _row(event: RequestRecorded) -> tuple[object, ...]:
    ttft = event.time_to_first_token_ms
    return (
        instant(event.admitted_at_ms),
        event.event_id,
        count(event.epoch),
        event.org_id,
        event.user_id,
        event.key_id,
        event.publication_id,
        _text(event.model),
        _text(event.upstream_model),
        event.endpoint,
        event.stream,
        event.outcome,
        min(count(event.http_status), 999),
        count(event.input_tokens),
        count(event.cached_input_tokens),
        count(event.output_tokens),
        count(event.reasoning_tokens),
        event.usage_source,
        count(event.held_tokens),
        None if ttft is None else count(ttft),
        count(event.duration_ms),
        instant(event.ended_at_ms),
        _text(event.request_id),
        json.dumps({_text(name): _text(value) for name, value in event.tags.items()}),
    )


def _text(value: str) -> str:
    """PostgreSQL keeps no NUL."""
    return value.replace("\0", "")
