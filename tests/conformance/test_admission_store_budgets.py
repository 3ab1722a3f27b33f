"""Budgets in both stores: `base + own`, told apart by `since`. And what settlements teach."""

import pytest

from ias.ids import uuid7
from ratelimit.periods import period_at
from ratelimit.ports import BudgetKey, Held, Learned, Period, Sample
from tests.support.admission_world import BUDGET, DAY_MS, NEW_YEAR, NOON, RPM, USER_BUDGET, World, reservation, world
from tests.support.valkey import valkey, valkey_server

__all__ = ["valkey", "valkey_server", "world"]


async def test_an_unknown_budget_decides_nothing_and_asks_for_its_base(world: World) -> None:
    first = await world.ask(RPM, BUDGET, USER_BUDGET, tokens=10)
    assert (first.reservation_id, first.states) == (None, ())
    assert {(u.budget.scope, u.budget.calendar) for u in first.unseeded} == {("org", Period.MONTH), ("user:u", Period.DAY)}
    assert all((u.budget.start_ms, u.budget.end_ms) == period_at(u.budget.calendar, NOON) for u in first.unseeded)
    assert all(u.since_ms == NOON + 1 for u in first.unseeded)
    world.later(500)
    again = await world.ask(RPM, BUDGET, USER_BUDGET, tokens=10)
    assert again.unseeded == first.unseeded, "the first to ask set the time"
    for found in again.unseeded:
        await world.store.seed(found.budget, found.since_ms - 1, 999_999)
        await world.store.seed(found.budget, found.since_ms, 250)
    passed = await world.ask(RPM, BUDGET, USER_BUDGET, tokens=10)
    assert [s.remaining for s in passed.states] == [9, 740, 40]


async def test_seeding_again_corrects_the_base_and_nothing_else(world: World) -> None:
    request = await world.admit(BUDGET, tokens=10)
    await world.store.settle([(request, 5)])
    state = await world.budget()
    assert await world.store.seed(state.budget, state.since_ms, 300, state.base)
    assert await world.store.seed(state.budget, state.since_ms, 300, 300)
    assert await world.spent() == (305, 0)
    assert not await world.store.seed(BudgetKey("org", "nobody", Period.DAY, 0, 1), 0, 1)


async def test_a_base_is_only_set_over_the_one_that_was_read_before_the_ledger(world: World) -> None:
    await world.admit(BUDGET)
    state = await world.budget()
    assert state.base == 0
    assert await world.store.seed(state.budget, state.since_ms, 300, 0)
    assert not await world.store.seed(state.budget, state.since_ms, 200, 0), "an older sum that was slow"
    assert not await world.store.seed(state.budget, state.since_ms, 200), "a base is known"
    assert await world.spent() == (300, 0)


async def test_the_next_period_begins_at_nothing_without_asking(world: World) -> None:
    world.at(NEW_YEAR - 1_000)
    request = await world.admit(BUDGET, USER_BUDGET, tokens=200)
    world.at(NEW_YEAR)
    assert (await world.ask(BUDGET, USER_BUDGET, tokens=250)).unseeded == ()
    assert await world.spent() == (0, 250)
    assert await world.spent(at=NEW_YEAR - 1_000) == (0, 200)
    await world.store.settle([(request, 150)])
    assert await world.spent(at=NEW_YEAR - 1_000) == (150, 0), "charged to the period of its admission"
    assert await world.spent(USER_BUDGET) == (0, 250)


async def test_a_budget_that_is_set_again_later_in_a_period_asks_what_was_spent_without_it(world: World) -> None:
    """The counter of the period before says nothing of requests that were admitted while no budget was set."""
    world.at(NEW_YEAR - 1_000)
    await world.admit(BUDGET, tokens=10)
    world.at(NEW_YEAR + DAY_MS)
    request = await world.admit(RPM, tokens=900)
    await world.store.settle([(request, 900)])
    world.at(NEW_YEAR + 2 * DAY_MS)
    (unseeded,) = (await world.ask(BUDGET, tokens=200)).unseeded
    await world.store.seed(unseeded.budget, unseeded.since_ms, 900)
    assert (await world.ask(BUDGET, tokens=200)).reservation_id is None


async def test_a_settlement_reaches_budgets_that_its_admission_did_not_know(world: World) -> None:
    """A replica that had not heard of a new budget admitted it."""
    await world.admit(BUDGET, USER_BUDGET)
    world.later(5)
    request = await world.admit(RPM, tokens=40)
    await world.store.settle([(request, 33)])
    assert await world.spent() == (33, 0)
    assert await world.spent(USER_BUDGET) == (33, 0)


async def test_requests_before_a_counter_are_its_base_s_business(world: World) -> None:
    request = await world.admit(RPM, tokens=40)
    await world.admit(BUDGET)
    await world.store.settle([(request, 33)])
    assert await world.spent() == (0, 0)


@pytest.mark.parametrize("back_ms", [0, 1, 3_000, 2 * 3_600_000, 13 * 3_600_000])
async def test_what_was_charged_before_a_counter_began_is_its_base_s_business_also_when_the_clock_went_back(world: World, back_ms: int) -> None:
    settled = await world.admit(RPM, tokens=40)
    await world.store.settle([(settled, 33)])
    world.later(-back_ms)
    (unseeded,) = (await world.ask(BUDGET)).unseeded
    assert unseeded.since_ms == NOON + 1, "the ledger is asked for all until and with it"
    own = await world.admit(BUDGET, tokens=5)
    await world.store.settle([(own, 4)])
    assert (await world.budget()).own == 4


async def test_one_that_still_runs_when_a_counter_begins_behind_it_is_its_own(world: World) -> None:
    running = await world.admit(RPM, tokens=40)
    world.later(-3_000)
    (unseeded,) = (await world.ask(BUDGET)).unseeded
    assert unseeded.since_ms == NOON - 2_999
    await world.store.settle([(running, 33)])
    assert (await world.budget()).own == 33


async def test_counters_that_begin_one_after_the_other_in_a_millisecond_lie_behind_what_is_charged_between(world: World) -> None:
    first = await world.admit(BUDGET, tokens=10)
    await world.store.settle([(first, 7)])
    (unseeded,) = (await world.ask(USER_BUDGET)).unseeded
    assert unseeded.since_ms == NOON + 2, "the first is of NOON + 1, where the first counter began"


async def test_what_was_charged_by_a_clock_far_ahead_moves_only_the_counters_of_its_own_period(world: World) -> None:
    world.at(NOON + 40 * DAY_MS)
    wrong = await world.admit(RPM, tokens=40)
    await world.store.settle([(wrong, 33)])
    world.at(NOON)
    assert {u.since_ms for u in (await world.ask(BUDGET, USER_BUDGET)).unseeded} == {NOON + 1}


async def test_what_was_admitted_while_the_store_was_away_is_charged_once(world: World) -> None:
    await world.admit(BUDGET)
    world.later(10)
    away = reservation(str(uuid7(world.now, 99)), in_store=False)
    assert await world.store.extend([away], 1_000) == [Held.UNKNOWN]
    await world.store.settle([(away, 44), (away, 44)])
    await world.store.settle([(away, 44)])
    assert await world.spent() == (44, 0)
    unknown = reservation(str(uuid7(world.now, 98)))
    await world.store.settle([(unknown, 44)])
    assert await world.spent() == (44, 0), "admitted in the store that was lost: the base has it"


async def test_held_again_after_a_loss_and_settled_once(world: World) -> None:
    lost = reservation(str(uuid7(world.now - 5_000, 7)))
    assert await world.store.extend([lost], 1_000) == [Held.UNKNOWN]
    assert await world.store.top_up(lost, 5) is Held.UNKNOWN
    for _ in range(2):
        await world.store.hold_again(lost, 5_000, 1_000)
    assert await world.spent() == (0, 5_000)
    assert (await world.ask(BUDGET, tokens=1)).unseeded, "its base is not known"
    state = await world.budget()
    await world.store.seed(state.budget, state.since_ms, 0)
    assert (await world.ask(BUDGET, tokens=1)).reservation_id is None
    assert await world.store.extend([lost], 1_000) == [Held.GRANTED]
    await world.store.settle([(lost, 600)])
    assert await world.spent() == (0, 0), "admitted before the counter: the ledger's"


# --- learned ---


async def test_settlements_teach_what_requests_of_the_org_are_like(world: World) -> None:
    assert (await world.ask(publication="p")).learned is None
    for n in range(101):
        request = await world.admit()
        sample = Sample("p", prompt_bytes=1_000 if n else 0, prompt_tokens=250 if n < 100 else 900, output_tokens=100 + n)
        await world.store.settle([(request, 1), (request, 1)], {request.reservation_id: sample})
        await world.store.settle([(request, 1)], {request.reservation_id: sample})
    learned = (await world.ask(publication="p")).learned
    assert learned == Learned(tokens_per_kilobyte=293, output_tokens=188, samples=101), "the edges of the histogram, 25 % apart"
    assert (await world.ask(publication="other")).learned is None
    assert (await world.ask()).learned is None


async def test_what_was_learned_long_ago_is_forgotten(world: World) -> None:
    async def settle(count: int, output_tokens: int) -> None:
        for _ in range(count):
            request = await world.admit()
            await world.store.settle([(request, 1)], {request.reservation_id: Sample("p", 1_000, 200, output_tokens)})

    await settle(600, 10)
    await settle(1_200, 5_000)
    learned = (await world.ask(publication="p")).learned
    assert learned is not None
    assert learned.output_tokens > 4_000
    assert learned.samples < 1_000
