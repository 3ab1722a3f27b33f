"""The life of a reservation in both stores: held, topped up, extended, swept, settled."""

import pytest
from msgspec.structs import replace

from ias.ids import uuid7
from ratelimit.bucket import NEVER
from ratelimit.periods import period_at
from ratelimit.ports import MAX_TTL_MS, Held, Limit, Period, TokenHold, Unit
from tests.support.admission_history import CLAIM_TTL_MS
from tests.support.admission_world import BUDGET, NOON, RPM, STREAMS, TPM, World, world
from tests.support.valkey import valkey, valkey_server

__all__ = ["valkey", "valkey_server", "world"]


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


async def test_what_was_used_so_far_drains_and_is_not_held_any_more(world: World) -> None:
    request = await world.admit(TPM, BUDGET, tokens=1_000)
    await world.store.extend([request], 60_000, {request.reservation_id: 600})
    assert [(s.remaining, s.held) for s in (await world.ask(TPM, BUDGET, tokens=0)).states] == [(0, 400), (0, 1_000)], "a budget holds on"
    world.later(30_000)
    assert [s.remaining for s in (await world.ask(TPM, tokens=0)).states] == [300], "10 tokens a second"
    await world.store.settle([(request, 700)])
    assert [(s.remaining, s.held) for s in (await world.ask(TPM, tokens=0)).states] == [(600, 0)]
    assert await world.spent() == (700, 0)


async def test_what_was_used_is_never_given_back(world: World) -> None:
    """Part of it has drained: giving all of it back would make room for others' tokens twice."""
    request = await world.admit(TPM, BUDGET, tokens=1_000)
    await world.store.extend([request], 60_000, {request.reservation_id: 600})
    await world.store.extend([request], 60_000, {request.reservation_id: 200})
    await world.store.settle([(request, 100)])
    assert [(s.remaining, s.held) for s in (await world.ask(TPM, tokens=0)).states] == [(400, 0)]
    assert await world.spent() == (100, 0), "a budget says what the ledger says"


async def test_more_used_than_held_is_a_debt_at_once_and_a_sweep_charges_the_rest(world: World) -> None:
    over, within = await world.admit(TPM, tokens=100), await world.admit(TPM, tokens=400)
    await world.store.extend([over, within], 1, {over.reservation_id: 300, within.reservation_id: 150})
    assert [(s.free, s.held) for s in (await world.ask(TPM, tokens=0)).states] == [(300, 250)]
    world.later(1)
    assert {s.reservation_id: s.tokens for s in await world.store.sweep()} == {over.reservation_id: 100, within.reservation_id: 400}
    assert [(s.free, s.held) for s in (await world.ask(TPM, tokens=0)).states] == [(300, 0)]


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


async def test_reservations_that_know_a_bucket_by_other_limits_share_it_also_when_they_end_together(world: World) -> None:
    """The limit was changed while the first one ran."""
    smaller = replace(TPM, capacity=900)
    requests = [await world.admit(TPM, tokens=100), await world.admit(smaller, tokens=200), await world.admit(TPM, tokens=50)]
    await world.store.settle([(request, 10 * (number + 1)) for number, request in enumerate(requests)])
    assert [(s.remaining, s.held) for s in (await world.ask(TPM, tokens=0)).states] == [(940, 0)]


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


async def test_debt_is_told_apart_from_what_is_held(world: World) -> None:
    """A budget that was lowered below what is spent, while requests run: their end frees nothing."""
    await world.admit(BUDGET, tokens=200)
    spent = await world.admit(BUDGET, tokens=100)
    await world.store.settle([(spent, 700)])
    (state,) = (await world.ask(replace(BUDGET, capacity=500), tokens=1)).states
    assert (state.remaining, state.free, state.held) == (0, -400, 200)


async def test_a_clock_that_was_far_ahead_blocks_nobody_until_it_is_there_again(world: World) -> None:
    full = replace(RPM, capacity=1)
    world.at(NOON + 3_600_000)
    await world.admit(full)
    world.later(-30_000)
    assert (await world.ask(full)).reservation_id is None, "a little back: nothing drains, and nothing is given"
    world.at(NOON)
    assert (await world.ask(full)).reservation_id is not None
    (state,) = (await world.ask(full)).states
    assert 0 < state.retry_ms <= full.period_ms


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
