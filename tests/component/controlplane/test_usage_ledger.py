"""The ledger port: the same promises from PostgreSQL as from the ledger in memory that the property tests use."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.ports import DeadLetter, Ledger, LedgerRefused, LedgerUnavailable, Position, Written
from controlplane.usage.rules import MAX_TOKENS, instant
from ias.ids import uuid7
from ias.usage_event import Outcome, RequestRecorded
from tests.component.controlplane.rolled_up import assert_rollups_are_the_ledgers
from tests.support.postgres import as_role
from tests.support.usage_events import ADMITTED_MS, MemoryLedger, event, some_id

HERE = {"spool": Position(1, 100)}


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(as_role(database_url))
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
        7, http_status=200, input_tokens=11, cached_input_tokens=5, output_tokens=13, reasoning_tokens=2,
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
    assert (row["input_tokens"], row["output_tokens"], row["http_status"], row["request_id"]) == (MAX_TOKENS, 0, 999, "ab")


async def test_rows_of_any_month_find_a_partition(postgres: PostgresLedger, database_url: str) -> None:
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
            await connection.execute("LOCK TABLE consumer_positions")
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


def busy_event(number: int, outcome: Outcome) -> RequestRecorded:
    """One of some users, models and times of two days."""
    return event(
        number, outcome, event_id=str(uuid7(ADMITTED_MS + number * 7_000_000, number)), key_id=some_id(number % 3), model=f"m{number % 2}",
        input_tokens=number, cached_input_tokens=number // 2, output_tokens=1 + number % 5, reasoning_tokens=number % 2, duration_ms=number * 997,
        time_to_first_token_ms=None if outcome is Outcome.LOST or number % 4 == 0 else number * 20,
    )  # fmt: skip


async def test_rollups_are_what_the_rows_sum_up_to_also_after_replays_and_replacements(postgres: PostgresLedger, database_url: str) -> None:
    lost, real = [[busy_event(number, outcome) for number in range(30)] for outcome in (Outcome.LOST, Outcome.COMPLETE)]
    await postgres.write([*lost[:20], *real[15:25]], HERE)
    await assert_rollups_are_the_ledgers(database_url)
    assert await postgres.write([*real[:10], *lost[10:], *real[15:]], HERE) == Written(inserted=5, replaced=10, duplicate=30)
    await assert_rollups_are_the_ledgers(database_url)


async def test_two_workers_that_write_the_same_events_at_once_count_them_once(database_url: str) -> None:
    workers = [PostgresLedger(database_url) for _ in range(3)]
    real = [busy_event(number, Outcome.COMPLETE) for number in range(60)]
    await workers[0].write([busy_event(number, Outcome.LOST) for number in range(30)], HERE)
    shares = [real[start : start + 20] for start in (0, 10, 20, 30, 40)]
    written = [await asyncio.gather(*(worker.write(share, HERE) for worker in workers)) for share in shares]
    for worker in workers:
        await worker.close()
    assert sum(one.inserted for turn in written for one in turn) == 30
    assert sum(one.replaced for turn in written for one in turn) == 30
    await assert_rollups_are_the_ledgers(database_url)


async def test_an_event_that_postgresql_refuses_is_told_from_a_server_that_is_away(postgres: PostgresLedger) -> None:
    with pytest.raises(LedgerRefused):
        await postgres.write([event(1), event(2, model="m" * 100_000 + "".join(map(chr, range(256, 8000))))], HERE)
    assert await postgres.write([event(1)], HERE) == Written(inserted=1)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("ALTER TABLE ledger ADD COLUMN later text NOT NULL", "ALTER TABLE ledger DROP COLUMN later"),
        ("ALTER TABLE ledger RENAME COLUMN held_tokens TO held", "ALTER TABLE ledger RENAME COLUMN held TO held_tokens"),
        ("ALTER TABLE usage_days RENAME TO usage_daily", "ALTER TABLE usage_daily RENAME TO usage_days"),
        ("ALTER TABLE ledger ADD CHECK (stream = false)", "ALTER TABLE ledger DROP CONSTRAINT ledger_stream_check"),
        ("ALTER TABLE ledger ALTER COLUMN stream TYPE text", "ALTER TABLE ledger ALTER COLUMN stream TYPE boolean USING stream::boolean"),
        ("ALTER TABLE ledger ALTER COLUMN http_status TYPE date USING NULL", "ALTER TABLE ledger ALTER COLUMN http_status TYPE integer USING 0"),
    ],
    ids=["one more column", "another column", "another table", "another constraint", "a wider type", "another type"],
)
async def test_events_wait_for_a_schema_that_they_fit_into(postgres: PostgresLedger, database_url: str, change: str, back: str) -> None:
    await postgres.write([event(1)], HERE)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("TRUNCATE ledger")
        await connection.execute(change)
        try:
            await postgres.write([event(2)], HERE)
        except LedgerUnavailable:
            await connection.execute(back)
            await postgres.write([event(2)], HERE)
        assert await connection.fetchval("SELECT count(*) FROM ledger") == 1
    finally:
        await connection.close()


async def test_a_dead_letter_is_kept_once_with_its_reason(postgres: PostgresLedger, database_url: str) -> None:
    letter = DeadLetter("spool", Position(1, 8), "no UUID", b"{}")
    await postgres.bury([letter])
    await postgres.bury([letter])
    connection = await asyncpg.connect(database_url)
    kept = await connection.fetch("SELECT stream, segment, byte_offset, reason, content FROM dead_letters")
    await connection.close()
    assert [tuple(row) for row in kept] == [("spool", 1, 8, "no UUID", b"{}")]


async def test_old_months_are_dropped_and_their_rollups_stay(postgres: PostgresLedger, database_url: str) -> None:
    november = datetime(2023, 11, 14, tzinfo=UTC)
    old, kept = [event(n, event_id=str(uuid7(int(at.timestamp() * 1000), n))) for n, at in enumerate((november, november + timedelta(days=20)))]
    connection = await asyncpg.connect(database_url)
    await connection.execute("SELECT ledger_add_month($1)", november)
    await postgres.write([old, kept], HERE)  # the second in the default partition
    assert await postgres.drop_before(november) == []
    assert await postgres.drop_before(november + timedelta(days=30)) == ["ledger_2023_11"]
    assert [str(row["event_id"]) for row in await rows(database_url)] == [kept.event_id]
    assert await postgres.drop_before(november + timedelta(days=60)) == []
    assert await rows(database_url) == []
    assert await connection.fetchval("SELECT sum(requests) FROM usage_days") == 2
    await connection.close()
