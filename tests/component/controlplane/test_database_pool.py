"""Connections in turn: nobody is overtaken, what is given up goes to the next, what the server has closed is replaced."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import database, database_pool


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = database.create_engine(database_url, pool_size=1)
    yield engine
    await engine.dispose()


async def test_who_waits_is_not_overtaken_by_who_comes_when_a_connection_is_free(engine: AsyncEngine) -> None:
    served: list[str] = []

    async def ask(name: str) -> None:
        async with engine.connect():
            served.append(name)

    held = await engine.connect()
    waiting = [asyncio.create_task(ask(f"waiting {number}")) for number in range(5)]
    await asyncio.sleep(0)
    await held.close()
    # It is free, and the first who waits has not run yet.
    await ask("new")
    await asyncio.gather(*waiting)
    assert served == [*(f"waiting {number}" for number in range(5)), "new"]


async def test_one_who_gives_up_leaves_the_connection_to_the_next(engine: AsyncEngine) -> None:
    async def ask() -> int:
        async with engine.connect() as connection:
            return int((await connection.execute(select(1))).scalar_one())

    held = await engine.connect()
    gone, patient = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    await held.close()
    gone.cancel()  # it has been given the connection, and never came to take it
    async with asyncio.timeout(5):
        assert await patient == 1
    assert gone.cancelled()


async def test_only_so_many_wait_and_only_so_long(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_pool, "MAX_WAITING", 1)
    monkeypatch.setattr(engine.pool, "_timeout", 0.2)
    async with engine.connect():
        waiting = asyncio.create_task(engine.connect().__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(PoolTimeout):
            await engine.connect()
        assert not waiting.done(), "it was sent away at once"
        with pytest.raises(PoolTimeout):
            await waiting


async def test_a_connection_that_the_server_has_closed_is_replaced(engine: AsyncEngine, database_url: str) -> None:
    async with engine.connect() as connection:
        pid = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
    other = database.create_engine(database_url, pool_size=1)
    async with other.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await other.dispose()
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.pg_backend_pid()))).scalar_one() != pid
