"""The ledger port: the same promises from PostgreSQL as from the ledger in memory that the property tests use."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.ports import Ledger, LedgerUnavailable, Position, Written
from controlplane.usage.rules import MAX_COUNT, instant
from ias.usage_event import Outcome
from tests.support.usage_events import ADMITTED_MS, MemoryLedger, event, some_id

HERE = {"spool": Position(1, 100)}


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    yield ledger
    await ledger.close()


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    chosen: Ledger = MemoryLedger() if request.param == "memory" else request.getfixturevalue("postgres")
    return chosen


async def rows(database_url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetch("SELECT * FROM ledger ORDER BY admitted_at, event_id")
    finally:
        await connection.close()


async def test_positions_move_with_the_events(ledger: Ledger) -> None:
    assert await ledger.positions() == {}
    await ledger.write([event(1)], {"a": Position(1, 10), "b": Position(7, 70)})
    await ledger.write([], {"a": Position(2, 0)})
    assert await ledger.positions() == {"a": Position(2, 0), "b": Position(7, 70)}


async def test_an_event_is_kept_once(ledger: Ledger) -> None:
    assert await ledger.write([event(1), event(2), event(1)], HERE) == Written(inserted=2, duplicate=1)
    assert await ledger.write([event(2), event(3)], HERE) == Written(inserted=1, duplicate=1)


async def test_a_real_event_replaces_a_lost_one_and_never_the_other_way_round(ledger: Ledger) -> None:
    lost, real = event(1, Outcome.LOST), event(1, Outcome.CLIENT_ABORT)
    assert await ledger.write([lost], HERE) == Written(inserted=1)
    assert await ledger.write([real], HERE) == Written(replaced=1)
    assert await ledger.write([lost], HERE) == Written(duplicate=1)
    assert await ledger.write([event(1, Outcome.COMPLETE)], HERE) == Written(duplicate=1)


async def test_a_row_holds_the_whole_event(postgres: PostgresLedger, database_url: str) -> None:
    original = event(
        7, epoch=3, http_status=200, input_tokens=11, cached_input_tokens=5, output_tokens=13, reasoning_tokens=2,
        held_tokens=17, time_to_first_token_ms=19, duration_ms=23, tags={"team": "a"},
    )  # fmt: skip
    await postgres.write([original], HERE)
    (row,) = await rows(database_url)
    assert row["admitted_at"] == instant(ADMITTED_MS + 7)
    assert row["ended_at"] == instant(original.ended_at_ms)
    assert json.loads(row["tags"]) == {"team": "a"}
    for name in original.__struct_fields__:
        if name not in ("ended_at_ms", "tags"):
            kept = row[name]
            assert (kept if isinstance(kept, int | None) else str(kept)) == getattr(original, name), name


async def test_a_replaced_row_holds_the_real_event(postgres: PostgresLedger, database_url: str) -> None:
    await postgres.write([event(1, Outcome.LOST)], HERE)
    await postgres.write([event(1, Outcome.COMPLETE, output_tokens=42)], HERE)
    await postgres.write([event(1, Outcome.LOST)], HERE)
    (row,) = await rows(database_url)
    assert (row["outcome"], row["output_tokens"]) == ("complete", 42)


async def test_what_an_engine_may_report_never_blocks_the_ledger(postgres: PostgresLedger, database_url: str) -> None:
    await postgres.write([event(1, input_tokens=2**64 - 1, output_tokens=-5, http_status=2**40, request_id="a\0b", tags={"x\0": "\0"})], HERE)
    (row,) = await rows(database_url)
    assert (row["input_tokens"], row["output_tokens"], row["http_status"], row["request_id"]) == (MAX_COUNT, 0, 999, "ab")


async def test_rows_of_any_month_find_a_partition(postgres: PostgresLedger, database_url: str) -> None:
    from ias.ids import uuid7

    await postgres.write([event(1), event(2, event_id=str(uuid7(1))), event(3, event_id=str(uuid7(4_000_000_000_000)))], HERE)
    assert len(await rows(database_url)) == 3


async def test_the_last_use_of_a_key_only_moves_forward(postgres: PostgresLedger, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO orgs (id, slug, name) VALUES ($1, 'o', 'O')", some_id(1))
        await connection.execute("INSERT INTO users (id, org_id, username, role) VALUES ($1, $2, 'u', 'org_user')", some_id(2), some_id(1))
        await connection.execute("INSERT INTO keys (id, org_id, user_id, name) VALUES ($1, $2, $3, 'k')", some_id(3), some_id(1), some_id(2))
        for number in (5, 9, 7):
            await postgres.write([event(number)], HERE)
        assert await connection.fetchval("SELECT last_used_at FROM keys") == instant(ADMITTED_MS + 9)
    finally:
        await connection.close()


async def test_a_connection_that_is_cut_in_the_middle_takes_nothing_and_comes_back(postgres: PostgresLedger, database_url: str) -> None:
    await postgres.write([event(1)], HERE)
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE spool_offsets")
            writing = asyncio.create_task(postgres.write([event(2)], {"spool": Position(1, 200)}))
            blocked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ias-worker' AND wait_event_type = 'Lock'"
            async with asyncio.timeout(10):
                while not await connection.fetch(blocked):
                    pass
            with pytest.raises(LedgerUnavailable):
                await writing
    finally:
        await connection.close()
    assert len(await rows(database_url)) == 1
    assert await postgres.positions() == HERE
    assert await postgres.write([event(2)], {"spool": Position(1, 200)}) == Written(inserted=1)


async def test_without_a_server_the_ledger_is_unavailable() -> None:
    with pytest.raises(LedgerUnavailable):
        await PostgresLedger("postgresql://x@/x?host=/nowhere").positions()
