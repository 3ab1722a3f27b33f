"""One suite for every admission store: in memory and on a real Valkey."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from ias.ids import uuid7_ms
from ratelimit import bucket, layout, store_valkey
from ratelimit.ports import Admission, AdmissionStore, Limit, StoreUnavailable
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

CLAIM_TTL_MS = 50
PATIENT_MS = 2_000
"""Most tests are not about the deadline, and share their machine."""
SLOW = Limit("requestsPerMinute", "slow", refill=1, period_ms=3_600_000, capacity=3)
WIDE = Limit("requestsPerMinute", "wide", refill=1, period_ms=3_600_000, capacity=100)
FAST = Limit("requestsPerMinute", "fast", refill=100, period_ms=1_000, capacity=2)


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[AdmissionStore]:
    if request.param == "memory":
        yield MemoryAdmissionStore(lambda: time.time_ns() // 1_000_000, CLAIM_TTL_MS)
        return
    server: TestValkey = request.getfixturevalue("valkey")
    on_valkey = store_valkey.connect(server.url, PATIENT_MS, CLAIM_TTL_MS)
    yield on_valkey
    await on_valkey.aclose()


@pytest.fixture
async def client(valkey: TestValkey) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.url) as redis:
        yield redis


def admission(*limits: Limit, org: str = "org", claim: bytes = b"claim", cost: int = 1) -> Admission:
    return Admission(org, secrets.randbits(80), limits, claim, cost)


async def unclaimed_ids(store: AdmissionStore) -> set[str | None]:
    return {found.reservation_id for found in await store.unclaimed()}


async def until_unclaimed(store: AdmissionStore, ids: set[str | None]) -> None:
    async with asyncio.timeout(5):
        while True:
            if await unclaimed_ids(store) == ids:
                return
            await asyncio.sleep(0.01)


async def test_admits_up_to_the_capacity_then_refuses(store: AdmissionStore) -> None:
    decisions = [(await store.admit([admission(SLOW)]))[0] for _ in range(4)]
    assert [d.reservation_id is not None for d in decisions] == [True, True, True, False]
    assert [d.states[0].remaining for d in decisions] == [2, 1, 0, 0]
    assert 3_590_000 < decisions[3].states[0].retry_ms <= 3_600_000
    assert 3 * 3_590_000 < decisions[3].states[0].ms_to_full <= 3 * 3_600_000


async def test_a_refused_request_charges_no_other_limit(store: AdmissionStore) -> None:
    batch = await store.admit([admission(WIDE, SLOW) for _ in range(5)])
    assert [d.reservation_id is not None for d in batch] == [True, True, True, False, False]
    assert [d.states[0].remaining for d in batch] == [99, 98, 97, 97, 97]
    assert [d.states[0].retry_ms for d in batch] == [0, 0, 0, 0, 0]


async def test_a_retry_at_the_promised_time_passes(store: AdmissionStore) -> None:
    refused = (await store.admit([admission(FAST) for _ in range(3)]))[2]
    assert refused.reservation_id is None
    await asyncio.sleep((refused.states[0].retry_ms + 1) / 1000)
    (again,) = await store.admit([admission(FAST)])
    assert again.reservation_id is not None


async def test_a_cost_above_the_capacity_is_never_promised(store: AdmissionStore) -> None:
    (decision,) = await store.admit([admission(SLOW, WIDE, cost=4)])
    assert decision.reservation_id is None
    assert [s.retry_ms for s in decision.states] == [bucket.NEVER, 0]
    assert [s.remaining for s in decision.states] == [3, 100]


async def test_orgs_do_not_share_buckets(store: AdmissionStore) -> None:
    one, other = await store.admit([admission(SLOW, org="one"), admission(SLOW, org="other")])
    assert one.states[0].remaining == other.states[0].remaining == 2


async def test_without_limits_all_pass(store: AdmissionStore) -> None:
    (decision,) = await store.admit([admission()])
    assert decision.reservation_id is not None
    assert decision.states == ()


async def test_an_empty_batch_has_no_decisions(store: AdmissionStore) -> None:
    assert await store.admit([]) == []


async def test_the_reservation_id_is_a_uuid7_of_now_and_the_given_bits(store: AdmissionStore) -> None:
    wanted = admission(SLOW)
    before = time.time_ns() // 1_000_000
    (decision,) = await store.admit([wanted])
    assert decision.reservation_id is not None
    rid = uuid.UUID(decision.reservation_id)
    assert before - 1 <= uuid7_ms(rid) <= time.time_ns() // 1_000_000 + 1
    from ias.ids import uuid7

    assert rid == uuid7(uuid7_ms(rid), wanted.reservation_entropy)


async def test_what_nobody_claims_is_found_after_the_deadline(store: AdmissionStore) -> None:
    decisions = await store.admit([admission(SLOW, org="a", claim=b"\x00one"), admission(SLOW, org="b", claim=b"two")])
    await until_unclaimed(store, {d.reservation_id for d in decisions})
    assert {(u.org_id, u.claim) for u in await store.unclaimed()} == {("a", b"\x00one"), ("b", b"two")}
    assert len(await store.unclaimed(limit=1)) == 1


async def test_a_claimed_reservation_is_never_found(store: AdmissionStore) -> None:
    mine, other = [d.reservation_id for d in await store.admit([admission(SLOW), admission(SLOW)])]
    assert mine is not None
    await store.claim([("org", mine)])
    await store.claim([("org", mine)])
    await until_unclaimed(store, {other})


async def test_a_reservation_in_time_is_not_yet_unclaimed(valkey: TestValkey) -> None:
    store = store_valkey.connect(valkey.url, PATIENT_MS, claim_ttl_ms=60_000)
    await store.admit([admission(SLOW)])
    assert await store.unclaimed() == []
    await store.aclose()


async def test_claiming_nothing_is_fine(store: AdmissionStore) -> None:
    await store.claim([])


async def test_many_at_once_never_pass_the_bound(store: AdmissionStore) -> None:
    limit = Limit("requestsPerMinute", "crowd", refill=200, period_ms=1_000, capacity=20)
    started = time.monotonic()
    batches = await asyncio.gather(*(store.admit([admission(limit) for _ in range(10)]) for _ in range(40)))
    elapsed_ms = (time.monotonic() - started) * 1000
    admitted = sum(d.reservation_id is not None for batch in batches for d in batch)
    assert 20 <= admitted <= 20 + 200 * (elapsed_ms + 1) / 1000


# --- Valkey only: its clock, its scripts, its absence ---


async def test_two_replicas_share_one_bucket(valkey: TestValkey) -> None:
    replicas = [store_valkey.connect(valkey.url, PATIENT_MS) for _ in range(2)]
    decisions = [d for store in replicas for d in await store.admit([admission(SLOW), admission(SLOW)])]
    assert [d.reservation_id is not None for d in decisions] == [True, True, True, False]
    for store in replicas:
        await store.aclose()


async def test_a_forgotten_script_is_loaded_again(valkey: TestValkey, client: Redis) -> None:
    store = store_valkey.connect(valkey.url, PATIENT_MS)
    await store.admit([admission(SLOW)])
    await client.script_flush()
    batch = await store.admit([admission(SLOW) for _ in range(3)])
    assert [d.reservation_id is not None for d in batch] == [True, True, False]
    await store.aclose()


async def test_a_frozen_server_costs_one_deadline_and_charges_nobody(valkey: TestValkey, client: Redis) -> None:
    store = store_valkey.connect(valkey.url, deadline_ms=20)
    async with asyncio.timeout(5):
        while True:  # warm: connection, script, clock
            try:
                await store.admit([admission(WIDE)])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    before = await client.get(layout.bucket("org", WIDE))
    with valkey.frozen():
        waits = []
        for _ in range(20):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.admit([admission(WIDE)])
            waits.append(time.monotonic() - started)
        assert sorted(waits)[-2] < 0.020, "after the first, none waits at all"
        assert max(waits) < 0.2
        await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        while True:
            try:
                (decision,) = await store.admit([admission(WIDE)])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.01)
    assert decision.reservation_id is not None
    after = await client.get(layout.bucket("org", WIDE))
    drained = 3_600_000
    assert drained - 60_000 < int(after.split(b":")[0]) - int(before.split(b":")[0]) <= drained, "only the last one was charged"
    await store.aclose()


async def test_a_loop_that_was_late_itself_still_takes_the_answer(valkey: TestValkey) -> None:
    store = store_valkey.connect(valkey.url, PATIENT_MS)
    await store.admit([admission(WIDE)])
    store._deadline_ms = 20
    call = asyncio.ensure_future(store.admit([admission(WIDE)]))
    asyncio.get_running_loop().call_soon(time.sleep, 0.1)  # as a body of 10 MiB would
    (decision,) = await call
    assert decision.reservation_id is not None
    await store.aclose()


async def test_a_server_that_is_gone_is_unavailable_at_once() -> None:
    store = store_valkey.connect("redis://127.0.0.1:1", deadline_ms=PATIENT_MS)
    started = time.monotonic()
    for call in (store.admit([admission(SLOW)]), store.claim([("org", "x")]), store.unclaimed()):
        with pytest.raises(StoreUnavailable):
            await call
    assert time.monotonic() - started < 1
    await store.aclose()
