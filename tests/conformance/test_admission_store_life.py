"""The life of a reservation in both stores: held, topped up, extended, swept, settled; and the budgets it is charged to."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from redis import Redis

from ias.ids import uuid7
from ratelimit.bucket import NEVER
from ratelimit.periods import period_at
from ratelimit.ports import (
    MAX_TTL_MS,
    Admission,
    AdmissionStore,
    BudgetKey,
    BudgetState,
    Decision,
    Held,
    Learned,
    Limit,
    Period,
    Reservation,
    Sample,
    TokenHold,
    Unit,
)
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.admission_history import CLAIM_TTL_MS
from tests.support.admission_valkey import PuppetValkey
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

NOON = int(datetime(2026, 10, 14, 12, tzinfo=UTC).timestamp() * 1000)
NEW_YEAR = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 24 * 3_600_000
RPM = Limit("requestsPerMinute", "org:rpm", 60, 60_000, 10)
TPM = Limit("tokensPerMinute", "org:tpm", 600, 60_000, 1_000, Unit.TOKENS)
STREAMS = Limit("concurrentRequests", "key:k:streams", 0, 1, 2, Unit.STREAMS)
BUDGET = Limit("monthly budget", "org", 0, 1, 1_000, Unit.TOKENS, Period.MONTH)
USER_BUDGET = Limit("daily budget", "user:u", 0, 1, 300, Unit.TOKENS, Period.DAY)


@dataclass
class World:
    """A store, its clock, and short words for what the tests do."""

    store: AdmissionStore
    _set_clock: Callable[[int], None]
    _look: Callable[[], None]
    now: int = NOON
    number: int = 0

    def at(self, now: int) -> None:
        self.now = now
        self._set_clock(now)
        self._look()

    def later(self, ms: int) -> None:
        self.at(self.now + ms)

    async def ask(self, *limits: Limit, tokens: int | TokenHold = 0, cost: int = 1, publication: str = "") -> Decision:
        self.number += 1
        hold = tokens if isinstance(tokens, TokenHold) else TokenHold(tokens)
        admission = Admission("org", self.number, limits, b"claim", cost, hold, "u", "k", publication)
        return (await self.store.admit([admission]))[0]

    async def admit(self, *limits: Limit, tokens: int | TokenHold = 0) -> Reservation:
        decision = await self.ask(*limits, tokens=tokens)
        if decision.unseeded:
            for found in decision.unseeded:
                await self.store.seed(found.budget, found.since_ms, 0)
            decision = await self.ask(*limits, tokens=tokens)
        assert decision.reservation_id is not None, decision
        return reservation(decision.reservation_id)

    async def budget(self, limit: Limit = BUDGET, at: int | None = None) -> BudgetState:
        assert limit.calendar is not None
        key = BudgetKey("org", limit.bucket, limit.calendar, *period_at(limit.calendar, self.now if at is None else at))
        (state,) = await self.store.budgets([key])
        assert state is not None
        return state

    async def spent(self, limit: Limit = BUDGET, at: int | None = None) -> tuple[int, int]:
        state = await self.budget(limit, at)
        return (state.base or 0) + state.own, state.held


def reservation(rid: str, *, in_store: bool = True) -> Reservation:
    return Reservation("org", "u", "k", rid, in_store)


@pytest.fixture(params=["memory", "valkey"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        now = [NOON]
        yield World(MemoryAdmissionStore(lambda: now[0], CLAIM_TTL_MS), lambda ms: now.__setitem__(0, ms), lambda: None)
        return
    server: TestValkey = request.getfixturevalue("valkey")
    with Redis.from_url(server.url) as client:
        puppet = PuppetValkey(server.url, client)
        puppet.set_clock(NOON)
        yield World(puppet.store, puppet.set_clock, puppet.look_everywhere)
        await puppet.store.aclose()


# --- held and settled ---


async def test_a_hold_takes_room_and_a_settlement_gives_the_rest_back(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=700)
    assert await world.spent() == (0, 700)
    assert (await world.ask(TPM, BUDGET, tokens=301)).reservation_id is None
    await world.store.settle([(request, 120)])
    assert await world.spent() == (120, 0)
    decision = await world.ask(TPM, BUDGET, tokens=880)
    assert [(s.remaining, s.held) for s in decision.states] == [(0, 880), (0, 880)]


async def test_what_is_held_does_not_drain(world: World) -> None:
    await world.admit(TPM, tokens=1_000)
    world.later(50_000)
    assert (await world.ask(TPM, tokens=1)).reservation_id is None


async def test_a_settlement_above_the_hold_is_a_debt(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=10)
    await world.store.settle([(request, 1_600)])
    decision = await world.ask(TPM, tokens=1)
    assert decision.reservation_id is None
    assert decision.states[0].retry_ms == 60_100, "600 over and 1 more, at 10 tokens a second"
    world.later(60_099)
    assert (await world.ask(TPM, tokens=1)).reservation_id is None
    world.later(1)
    assert (await world.ask(TPM, tokens=1)).reservation_id is not None
    assert (await world.ask(BUDGET, tokens=0)).reservation_id is None, "a debt lets nothing pass"


async def test_a_second_settlement_does_nothing(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=100)
    await world.store.settle([(request, 60), (request, 60)])
    await world.store.settle([(request, 99)])
    assert await world.spent() == (60, 0)


async def test_one_refusing_limit_leaves_all_others_untouched(world: World) -> None:
    await world.admit(STREAMS, BUDGET, tokens=1)
    await world.admit(STREAMS, BUDGET, tokens=1)
    refused = await world.ask(RPM, TPM, BUDGET, STREAMS, tokens=100)
    assert refused.reservation_id is None
    assert [s.retry_ms > 0 for s in refused.states] == [False, False, False, True]
    assert [s.remaining for s in refused.states] == [10, 1_000, 998, 0]


async def test_concurrent_requests_are_counted_while_they_run_and_never_charged(world: World) -> None:
    first, second = await world.admit(STREAMS), await world.admit(STREAMS)
    refused = await world.ask(STREAMS)
    assert (refused.reservation_id, refused.states[0].retry_ms, refused.states[0].ms_to_full) == (None, 1_000, 0)
    await world.store.settle([(first, 500)])
    third = await world.admit(STREAMS)
    world.later(CLAIM_TTL_MS)
    await world.store.sweep()
    assert (await world.ask(STREAMS)).states[0].remaining == 1, "the sweep released them"
    await world.store.settle([(second, 7), (third, 7)])
    assert (await world.ask(STREAMS)).states[0].remaining == 0


# --- how much is held ---


@pytest.mark.parametrize(
    ("hold", "taken", "held"),
    [
        (TokenHold(1_000), 0, 1_000),
        (TokenHold(1_000), 1, None),
        (TokenHold(100, share_percent=10), 0, 100),
        (TokenHold(100, share_percent=10), 1, None),
        (TokenHold(100, share_percent=10, reduced=40), 1, 40),
        (TokenHold(100, share_percent=10, reduced=40), 960, 40),
        (TokenHold(100, share_percent=10, reduced=40), 961, None),
        (TokenHold(100, share_percent=10, reduced=40, at_least=5), 961, 39),
        (TokenHold(100, share_percent=10, reduced=40, at_least=5), 995, 5),
        (TokenHold(100, share_percent=10, reduced=40, at_least=5), 996, None),
        (TokenHold(100, share_percent=10, at_least=5), 500, 100),
        (TokenHold(2_000, at_least=100), 0, 1_000),
        (TokenHold(0), 1_000, 0),
    ],
)
async def test_how_much_is_held(world: World, hold: TokenHold, taken: int, held: int | None) -> None:
    await world.admit(BUDGET, tokens=taken)
    decision = await world.ask(BUDGET, TPM, tokens=hold)
    assert (decision.held_tokens if decision.reservation_id else None) == held
    assert (await world.spent())[1] == taken + (held or 0)


async def test_without_token_limits_all_is_held_in_nothing(world: World) -> None:
    assert (await world.ask(RPM, tokens=5_000)).held_tokens == 5_000


@pytest.mark.parametrize("limit", [RPM, TPM, BUDGET, STREAMS])
async def test_more_than_the_capacity_is_never_promised(world: World, limit: Limit) -> None:
    nothing = Limit(limit.name, limit.bucket, limit.refill, limit.period_ms, 0, limit.unit, limit.calendar)
    if limit is BUDGET:
        await world.admit(BUDGET)
    decision = await world.ask(nothing, tokens=1)
    assert (decision.reservation_id, decision.states[0].retry_ms, decision.states[0].remaining) == (None, NEVER, 0)


async def test_a_budget_promises_the_next_period(world: World) -> None:
    await world.admit(BUDGET, tokens=1_000)
    decision = await world.ask(BUDGET, tokens=1)
    end = period_at(Period.MONTH, NOON)[1]
    assert (decision.states[0].retry_ms, decision.states[0].ms_to_full) == (end - NOON, end - NOON)
    world.at(end)
    assert (await world.ask(BUDGET, tokens=1)).reservation_id is not None


# --- dry run ---


@pytest.mark.parametrize("limit", [RPM, TPM, BUDGET, STREAMS])
async def test_a_dry_run_refuses_nobody_and_says_whom_it_would_have(world: World, limit: Limit) -> None:
    dry = Limit(limit.name, limit.bucket, limit.refill, limit.period_ms, 1, limit.unit, limit.calendar, dry_run=True)
    first, second = await world.ask(dry, tokens=1), await world.ask(dry, tokens=1)
    assert first.reservation_id is not None
    assert second.reservation_id is not None
    assert first.states[0].retry_ms == 0
    assert second.states[0].retry_ms > 0
    assert second.states[0].remaining == 0
    assert (await world.ask(dry, tokens=2, cost=2)).states[0].retry_ms != 0
    if limit is RPM:
        world.later(1_000)
        assert (await world.ask(dry)).states[0].retry_ms == 0, "what would have been refused charged nothing"


async def test_a_dry_run_budget_waits_for_no_base(world: World) -> None:
    dry = Limit("n", "org", 0, 1, 100, Unit.TOKENS, Period.MONTH, dry_run=True)
    assert (await world.ask(dry, tokens=60)).unseeded == ()
    assert (await world.budget()).base is None
    assert (await world.ask(dry, tokens=60)).states[0].retry_ms > 0


async def test_a_dry_run_token_limit_holds_only_what_is_free(world: World) -> None:
    dry = Limit("n", "d", 1, 60_000, 50, Unit.TOKENS, dry_run=True)
    decision = await world.ask(dry, TPM, tokens=TokenHold(100, reduced=10))
    assert [s.held for s in decision.states] == [50, 100]


# --- budgets: base, own, since ---


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
    await world.store.seed(state.budget, state.since_ms, 300)
    await world.store.seed(state.budget, state.since_ms, 300)
    assert await world.spent() == (305, 0)
    await world.store.seed(BudgetKey("org", "nobody", Period.DAY, 0, 1), 0, 1)


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


# --- top up ---


async def test_a_top_up_takes_from_all_token_limits_or_from_none(world: World) -> None:
    request = await world.admit(TPM, BUDGET, RPM, STREAMS, tokens=900)
    assert await world.store.top_up(request, 101) is Held.OVER
    assert await world.spent() == (0, 900)
    assert await world.store.top_up(request, 100) is Held.GRANTED
    assert await world.spent() == (0, 1_000)
    assert await world.store.top_up(request, 1) is Held.OVER
    await world.store.settle([(request, 950)])
    assert await world.spent() == (950, 0)
    assert await world.store.top_up(request, 1) is Held.UNKNOWN


# --- deadlines ---


async def test_an_overdue_hold_becomes_a_charge_and_is_told_until_it_is_reported(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=400)
    await world.store.extend([request], CLAIM_TTL_MS)
    world.later(CLAIM_TTL_MS - 1)
    assert await world.store.sweep() == []
    world.later(1)
    (swept,) = await world.store.sweep()
    assert (swept.reservation_id, swept.claimed, swept.tokens, swept.claim) == (request.reservation_id, True, 400, b"claim")
    assert await world.spent() == (400, 0)
    world.later(1)
    assert await world.store.sweep() == [swept]
    await world.store.reported([("org", request.reservation_id), ("org", str(uuid7(NOON, 1)))])
    world.later(1)
    assert await world.store.sweep() == []
    assert await world.spent() == (400, 0)


async def test_one_that_was_never_claimed_is_charged_nothing_once_its_event_says_so(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=400)
    world.later(CLAIM_TTL_MS)
    (swept,) = await world.store.sweep()
    assert not swept.claimed
    assert await world.spent() == (400, 0)
    await world.store.reported([("org", request.reservation_id)])
    assert await world.spent() == (0, 0)
    await world.store.settle([(request, 77)])
    assert await world.spent() == (77, 0)


@pytest.mark.parametrize("reported", [False, True])
async def test_a_late_settlement_corrects_the_charge(world: World, reported: bool) -> None:
    request = await world.admit(TPM, BUDGET, tokens=400)
    await world.store.extend([request], CLAIM_TTL_MS)
    world.later(CLAIM_TTL_MS)
    await world.store.sweep()
    if reported:
        await world.store.reported([("org", request.reservation_id)])
    await world.store.settle([(request, 150)])
    await world.store.settle([(request, 150)])
    assert await world.spent() == (150, 0)
    assert (await world.ask(TPM, tokens=850)).reservation_id is not None
    world.later(1)
    assert await world.store.sweep() == []


@pytest.mark.parametrize("reported", [False, True])
async def test_a_late_heartbeat_brings_the_hold_back(world: World, reported: bool) -> None:
    request = await world.admit(TPM, BUDGET, STREAMS, tokens=400)
    world.later(CLAIM_TTL_MS)
    await world.store.sweep()
    if reported:
        await world.store.reported([("org", request.reservation_id)])
    assert await world.store.extend([request], 5_000) == [Held.GRANTED]
    assert await world.spent() == (0, 400)
    world.later(4_999)
    assert await world.store.sweep() == []
    await world.store.settle([(request, 10)])
    assert await world.spent() == (10, 0)


async def test_heartbeats_hold_longer_than_anything_expires(world: World) -> None:
    request = await world.admit(TPM, BUDGET, STREAMS, tokens=400)
    for _ in range(80):
        assert await world.store.extend([request], MAX_TTL_MS) == [Held.GRANTED]
        world.later(MAX_TTL_MS - 1)
        assert await world.store.sweep() == []
    assert await world.spent(at=NOON) == (0, 400)
    assert (await world.ask(TPM, STREAMS, tokens=601)).reservation_id is None
    await world.store.settle([(request, 1)])
    assert await world.spent(at=NOON) == (1, 0)


async def test_no_heartbeat_may_reach_beyond_what_expiry_is_made_for(world: World) -> None:
    request = await world.admit()
    for ttl_ms in (0, MAX_TTL_MS + 1):
        with pytest.raises(ValueError, match="heartbeat"):
            await world.store.extend([request], ttl_ms)


async def test_a_sweep_returns_no_more_than_it_is_asked_for(world: World) -> None:
    requests = [await world.admit(BUDGET, tokens=1) for _ in range(3)]
    world.later(CLAIM_TTL_MS)
    found = [s.reservation_id for s in await world.store.sweep(limit=2)]
    await world.store.reported([("org", rid) for rid in found])
    world.later(1)
    found += [s.reservation_id for s in await world.store.sweep(limit=2)]
    assert sorted(found) == sorted(r.reservation_id for r in requests)


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
