"""The buckets of the Rate Limit Service: what one process does by itself, and Valkey, beside the exact model."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from redis import Redis

from ratelimit import hits_valkey, layout
from ratelimit.hits import ASKED_MS, HitRequest, Hits, HitStore
from ratelimit.hits_local import LocalHits
from ratelimit.hits_valkey import ValkeyHitStore
from ratelimit.ports import Limit, LimitState, StoreUnavailable
from ratelimit.resp import Address
from ratelimit.script_runner import ScriptRunner
from ratelimit.scripts import HIT_SCRIPTS
from tests.support.admission_valkey import CLOCK, PuppetClock, scripts
from tests.support.hits import HISTORIES, LIMITS, debt_ends_where_numbers_end, play
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

A, B, TOKENS, *_ = LIMITS


class Alone:
    """One process with all of every limit, on a clock that a test sets."""

    def __init__(self) -> None:
        self.local = LocalHits()
        self.now_ms = 1_000_000

    async def take(self, requests: Sequence[HitRequest]) -> list[tuple[LimitState, ...]]:
        return [self.local.take(request, 1, self.now_ms) for request in requests]


@pytest.fixture(params=["local", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[HitStore]:
    if request.param == "local":
        yield Alone()
        return
    server: TestValkey = request.getfixturevalue("valkey")
    on_valkey = hits_valkey.connect(server.url, 5_000)
    yield on_valkey
    await on_valkey.aclose()


def passed(states: Sequence[LimitState]) -> bool:
    return not any(state.retry_ms for state in states)


async def test_one_process_follows_the_model() -> None:
    total: Counter[str] = Counter()
    for seed in HISTORIES:
        alone = Alone()
        total.update(await play(seed, alone.take, lambda now_ms, alone=alone: setattr(alone, "now_ms", now_ms), set_back=False))  # type: ignore[misc]
    assert all(total.values()), total


async def test_valkey_follows_the_model(valkey: TestValkey) -> None:
    total: Counter[str] = Counter()
    clock = PuppetClock()
    store = ValkeyHitStore(ScriptRunner(Address.parse(valkey.url), scripts(of=HIT_SCRIPTS), clock, 5_000))
    with Redis.from_url(valkey.url) as client:

        def set_clock(now_ms: int) -> None:
            clock.now_ms = now_ms
            client.set(CLOCK, now_ms)

        try:
            for seed in HISTORIES:
                client.flushdb()
                total.update(await play(seed, store.take, set_clock))
        finally:  # the loop of a test that fails would wait for the open connection
            await store.aclose()
    assert all(total.values()), total


async def test_all_of_a_request_or_nothing(store: HitStore) -> None:
    seven = [HitRequest("d", (Hits(TOKENS, 10), Hits(A, 1)))] * 8
    taken = await store.take(seven)
    assert [passed(states) for states in taken] == [True] * 7 + [False]
    assert [states[0].remaining for states in taken] == [90, 80, 70, 60, 50, 40, 30, 30], "what was refused took nothing"


async def test_what_was_asked_for_before_is_charged_whatever_is_left(store: HitStore) -> None:
    asks, charges = HitRequest("d", (Hits(A, 0, on_its_own=True),)), HitRequest("d", (Hits(A, 41, on_its_own=True),))
    assert [passed(states) for states in await store.take([asks, charges, charges, asks])] == [True, True, True, False]
    ((state,),) = await store.take([asks])
    assert (state.free, state.remaining) == (7 - 82, 0)
    assert 76 * 60_000 // 7 - 5_000 < state.retry_ms <= 76 * 60_000 // 7 + 1, "until one more fits"


async def test_debt_ends_where_numbers_end(store: HitStore) -> None:
    await debt_ends_where_numbers_end(store.take)


async def test_a_cost_that_nobody_asked_for_before_is_charged_only_if_it_fits(store: HitStore) -> None:
    ((state,),) = await store.take([HitRequest("d", (Hits(A, 8, on_its_own=True),))])
    assert (state.free, state.retry_ms) == (7, -1)


async def test_a_request_counts_at_once_even_where_tokens_are_asked_for(store: HitStore) -> None:
    """A policy that changed from asking to counting refuses at once: only what comes on its own may be owed."""
    await store.take([HitRequest("d", (Hits(B, 0, on_its_own=True),))])
    taken = await store.take([HitRequest("d", (Hits(B, 1),))] * 6)
    assert [passed(states) for states in taken] == [True] * 5 + [False]


async def test_a_limit_of_nothing_lets_nothing_pass(store: HitStore) -> None:
    nothing = Limit("nothing", "n", 1, 60_000, 0)
    taken = await store.take([HitRequest("d", (Hits(nothing, count),)) for count in (0, 1)])
    assert [[state.retry_ms for state in states] for states in taken] == [[-1], [-1]]


async def test_domains_have_nothing_in_common(store: HitStore) -> None:
    one, other = await store.take([HitRequest(name, (Hits(A, 7),)) for name in ("one", "other")])
    assert passed(one)
    assert passed(other)


async def test_a_batch_of_many_domains_keeps_its_order(store: HitStore) -> None:
    batch = [HitRequest(f"d{n % 3}", tuple(Hits(Limit("x", f"{n}-{i}", 1, 1_000, n + 10), 1) for i in range(40))) for n in range(60)]
    taken = await store.take(batch)
    assert [[state.free for state in states] for states in taken] == [[n + 9] * 40 for n in range(60)]


async def test_nothing_asked_nothing_answered(store: HitStore) -> None:
    assert await store.take([]) == []


async def test_questions_and_buckets_are_forgotten(valkey: TestValkey) -> None:
    store = hits_valkey.connect(valkey.url, 5_000)
    await store.take([HitRequest("d", (Hits(A, 0), Hits(B, 1)))])
    await store.aclose()
    with Redis.from_url(valkey.url) as client:
        left = {key.decode(): client.pttl(key) for key in client.keys("*")}
    assert set(left) == {layout.bucket("d", A).replace(":b:", ":a:"), layout.bucket("d", B)}, "a question writes no bucket"
    assert ASKED_MS - 5_000 < left[layout.bucket("d", A).replace(":b:", ":a:")] <= ASKED_MS
    assert 0 < left[layout.bucket("d", B)] <= 1_334


async def test_a_question_of_long_ago_is_forgotten_here_too() -> None:
    alone = Alone()
    await alone.take([HitRequest("d", (Hits(A, 0),))])
    alone.now_ms += ASKED_MS
    ((state,),) = await alone.take([HitRequest("d", (Hits(A, 8, on_its_own=True),))])
    assert state.retry_ms == -1


async def test_a_frozen_server_costs_a_deadline_and_charges_nobody_when_it_wakes(valkey: TestValkey) -> None:
    store = hits_valkey.connect(valkey.url, 20)
    (before,) = await asyncio.wait_for(_patiently(store, HitRequest("d", (Hits(A, 1),))), 10)
    with valkey.frozen():
        with pytest.raises(StoreUnavailable):
            await store.take([HitRequest("d", (Hits(A, 1),))])
        await asyncio.sleep(0.1)  # past `not_after`
    (after,) = await asyncio.wait_for(_patiently(store, HitRequest("d", (Hits(A, 1),))), 10)
    await store.aclose()
    assert (before[0].free, after[0].free) == (6, 5)


async def _patiently(store: ValkeyHitStore, request: HitRequest) -> list[tuple[LimitState, ...]]:
    while True:
        try:
            return await store.take([request])
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def test_a_share_is_a_part_of_the_limit_and_at_least_one() -> None:
    local = LocalHits()
    one = HitRequest("d", (Hits(A, 1),))
    assert [passed(local.take(one, 3, 0)) for _ in range(4)] == [True, True, False, False]
    ((state),) = local.take(HitRequest("d", (Hits(B, 4),)), 2, 0)
    assert state.retry_ms == 1_000, "too large for the share, not for the limit"
    assert passed(local.take(HitRequest("e", (Hits(A, 1),)), 100, 0))
