import asyncio
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.audit.rules import Attempt
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING, Reach, Repository
from controlplane.schema import backends
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.gateway_views import ChangeKind


async def test_sequence_order_is_commit_order_whatever_runs_at_once(engine: AsyncEngine) -> None:
    """A reader that has seen `seq` must have seen all before it: none may appear later below it."""
    writers = 12

    async def write(n: int) -> None:
        async with unit_of_work(engine) as uow:
            uow.changed(ChangeKind.KEY, str(n))
            await uow.execute(text("SELECT pg_sleep(0.001 * :n)").bindparams(n=(n * 7) % 5))

    async def watch() -> list[list[int]]:
        snapshots: list[list[int]] = [[]]
        while len(snapshots[-1]) < writers:
            async with engine.connect() as connection:
                snapshots.append(list((await connection.execute(text("SELECT seq FROM gateway_changes_v1 ORDER BY seq"))).scalars()))
        return snapshots

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        for n in range(writers):
            tasks.create_task(write(n))
    snapshots = watching.result()
    for before, after in pairwise(snapshots):
        assert after[: len(before)] == before


async def test_a_writer_waits_for_the_change_log_until_the_one_before_has_committed(engine: AsyncEngine) -> None:
    first, second = UnitOfWork(engine, None), UnitOfWork(engine, None)
    async with engine.connect() as holder:
        await holder.execute(text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=0x1A5C4A46))
        first.changed(ChangeKind.KEY, "first")
        waiting = asyncio.create_task(first.commit())
        await asyncio.sleep(0)
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await holder.rollback()
    await waiting
    second.changed(ChangeKind.KEY, "second")
    await second.commit()
    async with engine.connect() as connection:
        assert list((await connection.execute(text("SELECT id FROM change_log ORDER BY seq"))).scalars()) == ["first", "second"]


async def test_what_raises_leaves_neither_change_nor_audit_row(engine: AsyncEngine) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        await _fail_half_way(engine)
    async with engine.connect() as connection:
        for table in ("orgs", "change_log", "audit_log"):
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def _fail_half_way(engine: AsyncEngine) -> None:
    async with unit_of_work(engine, Attempt("org.create")) as uow:
        await uow.execute(text("INSERT INTO orgs (id, slug, name) VALUES (gen_random_uuid(), 'x', 'x')"))
        uow.changed(ChangeKind.ORG, "x")
        raise RuntimeError("half way")


async def test_a_change_announced_twice_is_written_once(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as uow:
        uow.changed(ChangeKind.KEY, "k")
        uow.changed(ChangeKind.KEY, "k")
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM change_log"))).scalar_one() == 1


async def test_a_checkpoint_commits_and_gives_the_connection_back(engine: AsyncEngine) -> None:
    async with unit_of_work(engine, Attempt("org.create")) as uow:
        await uow.execute(text("INSERT INTO orgs (id, slug, name) VALUES (gen_random_uuid(), 'x', 'x')"))
        await uow.checkpoint()
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM orgs"))).scalar_one() == 1
            assert (await connection.execute(text("SELECT count(*) FROM audit_log"))).scalar_one() == 0
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM audit_log"))).scalar_one() == 1


async def test_a_table_without_an_org_is_closed_to_whoever_belongs_to_one(engine: AsyncEngine) -> None:
    uow = UnitOfWork(engine, None)
    Repository(uow, EVERYTHING).visible(backends)
    with pytest.raises(AttributeError):
        Repository(uow, Reach(new_id())).visible(backends)


def test_a_reach_never_widens() -> None:
    alpha, beta = new_id(), new_id()
    assert EVERYTHING.within(alpha) == Reach(alpha)
    assert Reach(alpha, beta).within(alpha) == Reach(alpha, beta)
    with pytest.raises(ValueError, match="outside"):
        Reach(alpha).within(beta)
