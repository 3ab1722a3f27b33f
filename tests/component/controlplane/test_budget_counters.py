"""Budgets beside a real Valkey: what is shown, what follows the ledger, which alerts are raised, what `reconcile` says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from controlplane.budgets.counters_valkey import open_counters
from controlplane.budgets.keeper import BudgetKeeper
from controlplane.budgets.ports import NoCounters
from controlplane.budgets.reconcile import Comparison, compare
from controlplane.budgets.rules import Budget, at_ms
from controlplane.database import create_engine
from ratelimit.ports import BudgetKey, Period, Reservation
from ratelimit.store_valkey import ValkeyAdmissionStore, connect
from tests.component.controlplane.ledger_rows import ended, used, write
from tests.component.controlplane.spending import Spender
from tests.component.controlplane.test_commands import run
from tests.component.controlplane.world import World
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

MONTH = "/org/alpha/budget/month"
DEADLINE_MS = 20_000


@pytest.fixture
async def store(valkey: TestValkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ValkeyAdmissionStore]:
    """Patient, and so is who asks it: these tests are not about deadlines, and share their machine."""
    monkeypatch.setattr("ratelimit.store_valkey._BACKGROUND_MS", DEADLINE_MS)
    monkeypatch.setattr("controlplane.budgets.service._COUNTERS_TIMEOUT_S", DEADLINE_MS / 1000)
    monkeypatch.setattr("controlplane.budgets.keeper._COUNTERS_TIMEOUT_S", DEADLINE_MS / 1000)
    store = connect(valkey.url, DEADLINE_MS, claim_ttl_ms=600_000)
    yield store
    await store.aclose()


@pytest.fixture
async def alpha(world: World, app: FastAPI, store: ValkeyAdmissionStore) -> Spender:
    """The API reads the counters of the same Valkey."""
    app.state.runtime = replace(app.state.runtime, counters=store)
    return Spender(store, world.orgs["alpha"])


def counter_of(world: World) -> BudgetKey:
    org_id = world.orgs["alpha"]
    return Budget(org_id, "org", org_id, None, Period.MONTH, 1).counter(datetime.now(UTC))


def keeper(world: World, store: Any, clock: list[datetime] | None = None) -> BudgetKeeper:
    """With `clock` the time is its last element."""
    return BudgetKeeper(world.engine, store, lambda: clock[-1] if clock else datetime.now(UTC))


async def record(database_url: str, world: World, reservation: Reservation, tokens: int) -> None:
    """The event of a request of the org arrives in the ledger."""
    await write(database_url, ended(reservation.reservation_id, tokens, world.orgs["alpha"]))


async def alerts(world: World) -> list[tuple[int, int, int]]:
    items = (await world["alpha-admin"].ok("GET", "/org/alpha/budget_alert"))["items"]
    return [(alert["threshold"], alert["spent"], alert["tokens"]) for alert in reversed(items)]


async def test_held_and_spent_are_shown_apart(world: World, alpha: Spender) -> None:
    admin = world["alpha-admin"]
    await admin.ok("PUT", MONTH, {"tokens": 1_000})
    running = await alpha.hold(300, base=50)
    view = await admin.ok("GET", MONTH)
    assert (view["spent"], view["held"], view["free"], view["source"]) == (50, 300, 650, "live")
    await alpha.store.settle([(running, 120)])
    view = await admin.ok("GET", MONTH)
    assert (view["spent"], view["held"], view["free"]) == (170, 0, 830)


async def test_a_budget_that_is_overspent_has_nothing_free(world: World, alpha: Spender) -> None:
    await alpha.spend(300)
    view = await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 100})
    assert (view["spent"], view["free"]) == (300, 0)


async def test_while_valkey_hangs_the_ledger_answers_and_says_so(
    world: World, alpha: Spender, valkey: TestValkey, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(database_url, world, await alpha.spend(300), 300)
    await alpha.hold(70)
    monkeypatch.setattr("controlplane.budgets.service._COUNTERS_TIMEOUT_S", 0.2)
    with valkey.frozen():
        view = await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 1_000})
    assert (view["spent"], view["held"], view["source"]) == (300, 0, "ledger")


async def test_without_valkey_the_ledger_answers(world: World, app: FastAPI, database_url: str) -> None:
    await write(database_url, used(datetime.now(UTC), 300, world.orgs["alpha"]))
    for url in ("", "redis://127.0.0.1:1"):
        async with open_counters(url) as counters:
            app.state.runtime = replace(app.state.runtime, counters=counters)
            view = await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 1_000})
            assert (view["spent"], view["source"]) == (300, "ledger")


async def test_a_base_follows_events_that_arrive_late_and_own_requests_are_not_counted_twice(world: World, alpha: Spender, database_url: str) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 10**9})
    own = await alpha.spend(7, base=0)
    since = at_ms((await alpha.counter(counter_of(world))).since_ms)
    clock = [datetime.now(UTC)]
    follower = keeper(world, alpha.store, clock)
    for passed, late in ((0, 100), (10, 2_000), (20, 30_000)):
        await write(database_url, used(since - timedelta(milliseconds=1), late, world.orgs["alpha"]))
        clock.append(clock[0] + timedelta(seconds=passed))
        await follower.step()
    await record(database_url, world, own, 7)
    clock.append(clock[0] + timedelta(seconds=30))
    await follower.step()
    state = await alpha.counter(counter_of(world))
    assert (state.base, state.own) == (32_100, 7)


class Overtaken:
    """The counters of a worker that stands still for a moment before it writes, while something happens."""

    def __init__(self, store: ValkeyAdmissionStore, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self.budgets = store.budgets
        self._store = store
        self._meanwhile = meanwhile

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        await self._meanwhile()
        return await self._store.seed(budget, since_ms, base, was)


async def test_a_slow_worker_does_not_set_an_older_sum_over_a_newer_one(world: World, alpha: Spender, database_url: str) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 10**9})
    await alpha.spend(7, base=0)
    since = at_ms((await alpha.counter(counter_of(world))).since_ms)
    before = since - timedelta(milliseconds=1)

    async def another_worker_sees_more() -> None:
        await write(database_url, used(before, 2_000, world.orgs["alpha"]))
        await keeper(world, alpha.store).step()

    await write(database_url, used(before, 100, world.orgs["alpha"]))
    await keeper(world, Overtaken(alpha.store, another_worker_sees_more)).step()
    assert (await alpha.counter(counter_of(world))).base == 2_100


async def test_a_counter_that_nobody_seeded_gets_the_ledgers_sum(world: World, alpha: Spender, valkey: TestValkey, database_url: str) -> None:
    """Valkey came back empty, and whoever made the counter anew died before it knew the base."""
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 10**9})
    await record(database_url, world, await alpha.spend(40), 40)
    async with Redis.from_url(valkey.url) as client:
        await client.flushall()
    assert (await alpha.ask(5)).unseeded
    assert (await world["alpha-admin"].ok("GET", MONTH))["source"] == "ledger"
    await keeper(world, alpha.store).step()
    assert (await alpha.counter(counter_of(world))).base == 40
    assert (await alpha.ask(5)).reservation_id is not None


async def test_each_threshold_raises_one_alert_however_many_workers_look(world: World, alpha: Spender) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 1_000, "thresholds": [50, 100]})
    workers = [keeper(world, alpha.store) for _ in range(3)]
    await alpha.spend(499)
    await asyncio.gather(*(worker.step() for worker in workers))
    assert await alerts(world) == []
    await alpha.spend(1)
    await asyncio.gather(*(worker.step() for worker in workers))
    assert await alerts(world) == [(50, 500, 1_000)]
    await alpha.spend(600)
    await asyncio.gather(*(worker.step() for worker in workers))
    await keeper(world, alpha.store).step()
    assert await alerts(world) == [(50, 500, 1_000), (100, 1_100, 1_000)]
    audited = [row for row in await world.audit() if row.action_type == "budget.threshold_reached"]
    assert [(row.org_id, row.payload["threshold"], row.payload["spent"]) for row in audited] == [
        (world.orgs["alpha"], 50, 500),
        (world.orgs["alpha"], 100, 1_100),
    ]


async def test_the_next_period_raises_its_own_alerts(world: World, alpha: Spender, database_url: str) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 10, "thresholds": [100]})
    now = datetime.now(UTC)
    following = at_ms(counter_of(world).end_ms)
    await write(database_url, used(now, 10, world.orgs["alpha"]), used(following, 11, world.orgs["alpha"]))
    for moment in (now, following):
        await keeper(world, alpha.store, [moment]).step()
    assert await alerts(world) == [(100, 10, 10), (100, 11, 10)]


async def test_people_see_the_alerts_of_the_org_and_their_own(world: World, database_url: str) -> None:
    user = world["alpha-user"]
    await world["root"].ok("PUT", MONTH, {"tokens": 10, "thresholds": [100]})
    for person in ("alpha-user", "alpha-admin"):
        await world["root"].ok("PUT", f"/user/{world[person].user_id}/budget/day", {"tokens": 5, "thresholds": [100]})
        await write(database_url, used(datetime.now(UTC), 6, world.orgs["alpha"], world[person].user_id))
    await keeper(world, NoCounters()).step()
    seen = (await user.ok("GET", "/org/alpha/budget_alert"))["items"]
    assert sorted((alert["scope"], alert["subjectId"]) for alert in seen) == [("org", str(world.orgs["alpha"])), ("user", str(user.user_id))]
    assert len((await world["alpha-admin"].ok("GET", "/org/alpha/budget_alert"))["items"]) == 3


async def test_the_keeper_looks_until_it_is_told_to_end(world: World, alpha: Spender) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 10, "thresholds": [100]})
    await alpha.spend(10)
    finish = asyncio.Event()
    running = asyncio.create_task(keeper(world, alpha.store).run(finish))
    try:
        async with asyncio.timeout(60):
            while await alerts(world) != [(100, 10, 10)]:  # noqa: ASYNC110 -- what a job of its own does has no event
                await asyncio.sleep(0.05)
    finally:
        finish.set()
        async with asyncio.timeout(30):
            await running


async def test_a_database_that_is_away_ends_a_pass_and_not_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("postgresql://nobody:x@/nothing?host=/nonexistent", pool_size=1)
    patient = BudgetKeeper(engine, NoCounters(), lambda: datetime.now(UTC))
    finish, step = asyncio.Event(), patient.step

    async def last_step() -> None:
        finish.set()
        await step()

    monkeypatch.setattr(patient, "step", last_step)
    async with asyncio.timeout(30):
        await patient.run(finish)
    with pytest.raises(FileNotFoundError):
        await step()
    await engine.dispose()


async def compared(world: World, store: ValkeyAdmissionStore) -> Comparison:
    (comparison,) = [comparison async for comparison in compare(world.engine, store, datetime.now(UTC))]
    return comparison


async def reconciled(environment: dict[str, str]) -> tuple[int | None, str]:
    """Exit code and table; asked again when Valkey answered too late."""
    async with asyncio.timeout(90):
        while True:
            status, out, _ = await run("reconcile", **environment)
            if out:
                return status, out


async def test_reconcile_compares_counters_with_the_ledger(world: World, alpha: Spender, valkey: TestValkey, database_url: str) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 1_000})
    environment = {"IAS_DATABASE_URL": database_url, "IAS_VALKEY_URL": valkey.url}
    before = await compared(world, alpha.store)
    assert (before.spent, before.ledger, before.difference) == (None, 0, 0)
    reservation = await alpha.spend(300)
    assert (await compared(world, alpha.store)).difference == 300
    status, out = await reconciled(environment)
    assert (status, "DIFFERS" in out) == (1, True)
    await record(database_url, world, reservation, 300)
    await alpha.hold(45)
    status, out = await reconciled(environment)
    assert status == 0
    assert out.splitlines()[1].split() == [str(world.orgs["alpha"]), "org", "month", "300", "300", "0", "45"]


async def test_reconcile_without_valkey_says_so(database_url: str, world: World) -> None:
    await world["alpha-admin"].ok("PUT", MONTH, {"tokens": 1_000})
    status, out, err = await run("reconcile", IAS_DATABASE_URL=database_url)
    assert (status, out) == (1, "")
    assert "IAS_VALKEY_URL" in err
