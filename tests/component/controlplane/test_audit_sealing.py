"""Sealing the audit log while people write to it, and finding what was done to it behind our back."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.audit.rules import Attempt
from controlplane.audit.sealing import Sealer, report, verify
from controlplane.publishing.reconciler import NoGateway, Reconciler
from controlplane.unit_of_work import UnitOfWork, unit_of_work

PUT_IN = """
ALTER TABLE audit_log DISABLE TRIGGER USER;
INSERT INTO audit_log (id, seq, action_type, outcome) VALUES (gen_random_uuid(), -1, 'key.create', 'ok')
"""


def sealer(engine: AsyncEngine, interval_s: float = 60.0) -> Sealer:
    return Sealer(engine, interval_s, lambda: datetime.now(UTC))


async def write(engine: AsyncEngine, rows: int = 1) -> None:
    for _ in range(rows):
        async with unit_of_work(engine, Attempt("key.create", payload={"name": "laptop", "amount": 0.10})):
            pass


@pytest.fixture
async def sealed(engine: AsyncEngine) -> AsyncEngine:
    """Three batches of three rows, and one row that is not sealed yet."""
    for _ in range(3):
        await write(engine, 3)
        assert await sealer(engine).step() is not None
    await write(engine)
    return engine


async def test_what_nobody_touched_is_intact(sealed: AsyncEngine) -> None:
    verified = await verify(sealed)
    assert (verified.seals, verified.rows, verified.unsealed, verified.reason) == (3, 9, 1, "")
    assert report(verified).startswith("intact: 3 seals over 9 rows of the audit log checked, 1 newer ones wait for their seal\nhead 3:")


@pytest.mark.parametrize(
    ("tampering", "broken", "reason"),
    [
        ("UPDATE audit_log SET outcome = 'denied' WHERE seq = 5", 2, "a row was changed"),
        ('UPDATE audit_log SET payload = \'{"name": "laptop", "amount": 0.100}\' WHERE seq = 5', 2, "a row was changed"),
        ("UPDATE audit_log SET targets = '{x}' WHERE seq = 4", 2, "a row was changed"),
        ("DELETE FROM audit_log WHERE seq = 8", 3, "1 of its 3 rows are missing"),
        ("DELETE FROM audit_log WHERE seq <= 3", 1, "3 of its 3 rows are missing"),
        (PUT_IN, 1, "1 rows were put in beside its 3"),
        ("UPDATE audit_log SET seq = -seq WHERE seq IN (1, 2); UPDATE audit_log SET seq = 3 + seq WHERE seq < 0", 1, "its first or last row"),
        ("DELETE FROM audit_seals WHERE number = 2", 3, "the seal 2 before it is missing"),
        ("UPDATE audit_seals SET hash = sha256('x') WHERE number = 1", 1, "a row was changed"),
        ("UPDATE audit_seals SET previous_hash = hash WHERE number = 3", 3, "it does not follow from the seal before"),
    ],
)
async def test_the_first_broken_batch_is_named(sealed: AsyncEngine, database_url: str, tampering: str, broken: int, reason: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("DROP INDEX audit_log_seq; UPDATE audit_log SET seq = 11 WHERE seq = 10")
    await owner.execute(tampering)
    await owner.close()
    verified = await verify(sealed)
    assert verified.broken is not None
    assert verified.broken.number == broken
    assert verified.reason.startswith(reason)
    assert f"BROKEN at seal {broken}" in report(verified)


async def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_noted_down(sealed: AsyncEngine, database_url: str) -> None:
    head = (await verify(sealed)).head
    assert head is not None
    assert (await verify(sealed, [head.mark])).reason == ""
    assert "not the seal that was noted down" in (await verify(sealed, [f"2:{'0' * 64}"])).reason
    owner = await asyncpg.connect(database_url)
    await owner.execute("DELETE FROM audit_log WHERE seq > 6; DELETE FROM audit_seals WHERE number = 3")
    await owner.close()
    assert (await verify(sealed)).reason == "", "the chain alone cannot know"
    assert (await verify(sealed, [head.mark])).reason.startswith("seal 3 that was noted down is not there")


async def test_the_command_says_what_it_checked_and_exits_1_for_a_broken_log(sealed: AsyncEngine, database_url: str) -> None:
    async def command() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controlplane", "verify-audit", env={"IAS_DATABASE_URL": database_url}, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    status, out = await command()
    assert (status, out.splitlines()[0]) == (0, "intact: 3 seals over 9 rows of the audit log checked, 1 newer ones wait for their seal")
    owner = await asyncpg.connect(database_url)
    await owner.execute("DELETE FROM audit_log WHERE seq = 5")
    await owner.close()
    status, out = await command()
    assert (status, out.splitlines()[0]) == (1, "BROKEN at seal 2 (rows 4 to 6): 1 of its 3 rows are missing")


async def test_a_writer_that_commits_late_is_waited_for_and_never_left_out(engine: AsyncEngine) -> None:
    """Its row has a lower number than rows that are committed already."""
    late = UnitOfWork(engine, None)
    await late.execute(text("INSERT INTO audit_log (id, action_type, outcome) VALUES (gen_random_uuid(), 'late', 'ok')"))
    await write(engine, 2)
    assert await sealer(engine).step() is None, "what is final is not known while it writes"
    await late.commit()
    made = await sealer(engine).step()
    assert made is not None
    assert (made.first_seq, made.rows) == (1, 3)
    assert (await verify(engine)).reason == ""


async def test_many_writers_and_many_sealers_at_once_leave_a_chain_without_a_flaw(engine: AsyncEngine) -> None:
    stop = asyncio.Event()

    async def keep_sealing() -> None:
        while not stop.is_set():
            await sealer(engine).step()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(keep_sealing())
        await asyncio.gather(*(write(engine, 20) for _ in range(5)))
        stop.set()
    while await sealer(engine).step():
        pass
    verified = await verify(engine)
    assert (verified.rows, verified.unsealed, verified.reason) == (100, 0, "")


async def test_rows_are_sealed_when_they_are_old_or_many_and_not_before(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await sealer(engine, 0.1).is_due(), "there is nothing"
    await write(engine)
    later = Sealer(engine, 60.0, lambda: datetime.now(UTC) + timedelta(seconds=61))
    assert not await sealer(engine).is_due()
    assert await later.is_due()
    monkeypatch.setattr("controlplane.audit.sealing.MANY_ROWS", 2)
    await write(engine)
    assert await sealer(engine).is_due()


async def test_the_running_job_seals(engine: AsyncEngine) -> None:
    stop = asyncio.Event()
    job = asyncio.create_task(sealer(engine, 0.1).run(stop))
    await write(engine, 2)
    async with asyncio.timeout(20):
        while (await verify(engine)).rows < 2:  # noqa: ASYNC110  # what happens in the database has no event
            await asyncio.sleep(0.05)
    stop.set()
    await job


async def test_a_publication_that_takes_long_holds_up_no_seal(engine: AsyncEngine) -> None:
    await write(engine)
    async with Reconciler(engine, NoGateway()).exclusively():
        assert await sealer(engine).step() is not None
