"""Two replicas under many writers: no update lost, no change missed, no deadlock. `make bench-writers` does it with 200 and 10,000."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from controlplane.accounts.passwords import Passwords
from controlplane.app import application
from controlplane.settings import ApiSettings
from tests.component.controlplane.world import World
from tests.support.writers import write_at_once

TOTAL, WRITERS, BUDGETS = 100, 30, 10


@pytest.fixture
async def replicas(database_url: str, world: World) -> AsyncIterator[list[httpx2.AsyncClient]]:
    settings = ApiSettings(database_url=database_url, peppers={1: "11" * 32, 2: "22" * 32}, token_secret="s" * 32)
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            app = await stack.enter_async_context(application(settings, Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))))
            transport = httpx2.ASGITransport(app=app)
            client = httpx2.AsyncClient(transport=transport, base_url="http://api", headers=world["root"].headers)
            clients.append(await stack.enter_async_context(client))
        yield clients


async def test_nothing_is_lost_and_nothing_missed(database_url: str, world: World, replicas: list[httpx2.AsyncClient]) -> None:
    paths = [f"/api/org/org-{number}/budget/month" for number in range(BUDGETS)]
    for number in range(BUDGETS):
        await world["root"].ok("POST", "/org", {"name": f"Org {number}"})
        await world["root"].ok("PUT", f"/org/org-{number}/budget/month", {"tokens": 0})
    async with world.engine.begin() as connection:
        await connection.execute(text("DELETE FROM change_log"))
    figures = await write_at_once(database_url, replicas, paths, WRITERS, TOTAL, 60)
    assert (figures.errors, figures.writes, figures.seen, figures.out_of_order) == ([], TOTAL, TOTAL, 0)
    budgets = [(await world["root"].ok("GET", path.removeprefix("/api")))["tokens"] for path in paths]
    assert sum(budgets) == TOTAL, f"{TOTAL - sum(budgets)} updates were lost"
    assert figures.overtaken > 0, "nobody was in anybody's way: this showed nothing"
