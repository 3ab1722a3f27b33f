"""The ledger in PostgreSQL, as the consumer writes it: rows, rollups, positions and last use of the keys in one transaction."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeAlias

import asyncpg

from controlplane.usage import ledger_sql as sql
from controlplane.usage.ports import DeadLetter, LedgerRefused, LedgerUnavailable, Position, Positions, Written
from controlplane.usage.rollups import Group, Rollup, Sums, roll_up
from controlplane.usage.rules import cleaned, instant, last_used, merge
from ias.usage_event import Outcome, RequestRecorded

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 30.0
_REFUSALS = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What PostgreSQL, or its driver, says of a value that it will never take.

A constraint that is violated is not among them: `check` and `cleaned` leave no event that could. Then the schema is not the one that this
worker writes to (of a version before or after), and events wait until it is.
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class PostgresLedger:
    """Writes through one connection of its own, opened when it is needed."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: Connection | None = None
        self._months_ensured_in: tuple[int, int] | None = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def positions(self) -> dict[str, Position]:
        async with self._connected() as connection:
            rows = await connection.fetch(sql.POSITIONS)
        return {row["stream"]: Position(row["segment"], row["byte_offset"]) for row in rows}

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        unique = [cleaned(event) for event in merge(events)]
        written = Written()
        async with self._connected() as connection:
            await self._ensure_months(connection)
            async with connection.transaction():
                if unique:
                    written = await self._keep(connection, unique, len(events))
                names = sorted(positions)
                await connection.execute(sql.MOVE, names, [positions[n].segment for n in names], [positions[n].offset for n in names])
        return written

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        rows = [
            (letter.stream, letter.position.segment, letter.position.offset, letter.reason.replace("\0", ""), letter.content) for letter in letters
        ]
        async with self._connected() as connection:
            await connection.executemany(sql.BURY, rows)

    async def drop_before(self, month: datetime) -> list[str]:
        """Drop the partitions of all months before that of `month` and return their names; the rollups stay. Raises LedgerUnavailable."""
        async with self._connected() as connection:
            return list(await connection.fetchval("SELECT ledger_drop_before($1)", month))

    async def _keep(self, connection: Connection, unique: Sequence[RequestRecorded], delivered: int) -> Written:
        await connection.copy_records_to_table(sql.BATCH, records=map(_row, unique), columns=sql.BATCH_COLUMNS)
        rows = await connection.fetch(sql.INSERT)
        added, removed = list(unique), list[RequestRecorded]()
        if len(rows) < len(unique):
            inserted = {str(row["event_id"]) for row in rows}
            removed = await self._replace(connection, [event for event in unique if event.event_id not in inserted])
            replaced = {event.event_id for event in removed}
            added = [event for event in unique if event.event_id in inserted or event.event_id in replaced]
        if added:
            for rollup, changes in roll_up(added, removed).items():
                await connection.execute(sql.add_to(rollup), *_columns(rollup, changes))
        used = last_used(unique)
        await connection.execute(sql.USED, list(used), list(used.values()))
        return Written(len(rows), len(removed), delivered - len(added))

    async def _replace(self, connection: Connection, known: Sequence[RequestRecorded]) -> list[RequestRecorded]:
        """Let real events take the place of `lost` ones and return those."""
        real = [event for event in known if event.outcome is not Outcome.LOST]
        if not real:
            return []
        by_id = {event.event_id: event for event in real}
        rows = await connection.fetch(sql.REPLACE, list(by_id))
        return [sql.event_of(row, by_id[str(row["event_id"])]) for row in rows]

    async def _ensure_months(self, connection: Connection) -> None:
        """Have a partition for this month and the next; rows of any other month go to the default partition."""
        now = datetime.now(UTC)
        if self._months_ensured_in != (now.year, now.month):
            await connection.execute("SELECT ledger_add_month(now()), ledger_add_month(now() + interval '1 month')")
            self._months_ensured_in = (now.year, now.month)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """Give the connection; whatever goes wrong with it is LedgerUnavailable, and the next call opens a new one."""
        try:
            if self._connection is None or self._connection.is_closed():
                settings = {"application_name": "ias-worker", "timezone": "UTC", "statement_timeout": "30s", "lock_timeout": "10s"}
                settings |= sql.WRITES_EVERY_ROLLUP
                self._connection = await asyncpg.connect(
                    self._database_url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S, server_settings=settings
                )
                await self._connection.execute(sql.CREATE_BATCH)
            yield self._connection
        except _REFUSALS as error:
            raise LedgerRefused(f"{type(error).__name__}: {error}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            raise LedgerUnavailable(f"{type(error).__name__}: {error}") from error


def _row(event: RequestRecorded) -> tuple[object, ...]:
    return (
        instant(event.admitted_at_ms),
        event.event_id,
        event.org_id,
        event.user_id,
        event.key_id,
        event.publication_id,
        event.model,
        event.upstream_model,
        event.endpoint,
        event.stream,
        event.outcome,
        event.http_status,
        event.input_tokens,
        event.cached_input_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        event.usage_source,
        event.held_tokens,
        event.time_to_first_token_ms,
        event.duration_ms,
        instant(event.ended_at_ms),
        event.request_id,
        json.dumps(event.tags) if event.tags else "{}",
    )


def _columns(rollup: Rollup, changes: dict[Group, Sums]) -> list[list[object]]:
    names, of_sums = [dimension.column for dimension in rollup.dimensions], attrgetter(*rollup.counts)
    rows = [
        (group.period_start, *(getattr(group, name) for name in names), *of_sums(sums), _array(sums.durations), _array(sums.first_tokens))
        for group, sums in changes.items()
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _array(numbers: tuple[int, ...]) -> str:
    """As PostgreSQL reads an array: `unnest` would take an array of arrays apart."""
    return "{" + ",".join(map(str, numbers)) + "}"
