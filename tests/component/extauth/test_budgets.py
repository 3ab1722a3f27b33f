"""Budgets: their base comes from the ledger, once; what happens while it cannot be read."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from ratelimit.ports import BudgetKey
from tests.component.controlplane.ledger_rows import used, write
from tests.component.extauth.world import Extauth, Truth, admitted, extauth, postgres_hangs
from tests.support.checks import CHAT, Verdict, ask, check_message
from tests.support.valkey import TestValkey

SHORT = CHAT[:-1] + b',"max_tokens":10}'
"""Holds less than 100 tokens."""


class CountingLedger:
    """Counts the reads of the ledger behind it."""

    def __init__(self, world: Extauth) -> None:
        self._ledger = world.ledger
        self.reads = 0
        world.seeder._ledger = self

    async def spent(self, budget: BudgetKey, until_ms: int) -> int:
        self.reads += 1
        return await self._ledger.spent(budget, until_ms)


async def one(world: Extauth, key: Any, body: bytes = SHORT) -> Verdict:
    (verdict,) = await ask(world.service.handle, check_message(key.text, body))
    return verdict


async def test_what_the_ledger_knows_is_spent(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    await truth.budget(org, 1_000)
    await write(database_url, used(datetime.now(UTC), 850, org.id))
    async with extauth(database_url, valkey.url) as world:
        ledger = CountingLedger(world)
        passed, refused = await one(world, key), await one(world, key, CHAT[:-1] + b',"max_tokens":900}')
        assert ledger.reads == 1
    context = admitted(passed)
    assert context.in_store
    assert passed.client_headers["x-ratelimit-limit-tokens"] == "1000"
    assert passed.client_headers["x-ratelimit-remaining-tokens"] == str(150 - context.held_tokens)
    assert (refused.status, refused.code) == (429, "insufficient_quota")
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400
    assert b"monthly token budget of the organization" in refused.body


async def test_requests_that_wait_for_one_base_share_one_read_and_each_scope_has_its_own(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    key_id, key = await org.key()
    await truth.budget(org, 1_000_000)
    await truth.budget(org, 1_000_000, scope="user", subject_id=org.user_id, user_id=org.user_id)
    await truth.budget(org, 1_000, period="day", scope="key", subject_id=key_id, user_id=org.user_id)
    async with extauth(database_url, valkey.url) as world:
        ledger = CountingLedger(world)
        verdicts = await ask(world.service.handle, *(check_message(key.text, SHORT) for _ in range(20)))
        assert ledger.reads == 3
    held = admitted(next(v for v in verdicts if v.allowed)).held_tokens
    assert sum(v.allowed for v in verdicts) == 1_000 // held, "the budget of the key, exactly"


async def test_a_budget_that_is_only_held_is_busy_and_not_spent(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    await truth.budget(org, 100)
    async with extauth(database_url, valkey.url) as world:
        passed, refused = await one(world, key), await one(world, key)
    assert passed.allowed
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")


async def test_a_store_that_was_emptied_learns_its_base_again(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    await truth.budget(org, 1_000)
    async with extauth(database_url, valkey.url) as world:
        assert (await one(world, key)).allowed
        await write(database_url, used(datetime.now(UTC), 990, org.id))
        with Redis.from_url(valkey.url) as client:
            client.flushall()
            client.script_flush()
        assert (await one(world, key)).code == "insufficient_quota"


@pytest.mark.parametrize(("grace", "status"), [(0, 503), (1_000, 200)])
async def test_without_the_ledger_only_the_grace_passes(grace: int, status: int, truth: Truth, database_url: str, valkey: TestValkey) -> None:
    data = await truth.data_directory()
    org, free = await truth.org(), await truth.org()
    await truth.publish("small", org, free)
    (_, key), (_, unlimited) = await org.key(), await free.key()
    await truth.budget(org, 1_000)
    await truth.limit("orgs", org.id, outage_tokens=grace)
    async with extauth(database_url, valkey.url) as world:
        for known in (key, unlimited):
            assert (await one(world, known, b"{}")).status == 400  # the records are in memory now
        with postgres_hangs(data):
            verdict, other = await ask(world.service.handle, check_message(key.text, SHORT), check_message(unlimited.text, SHORT))
        assert (verdict.status, other.status) == (status, 200)
        assert admitted(other).in_store
        if verdict.allowed:
            assert not admitted(verdict).in_store
        async with asyncio.timeout(20):
            while True:
                if (found := await one(world, key)).allowed and admitted(found).in_store:
                    break
                await asyncio.sleep(0.05)
