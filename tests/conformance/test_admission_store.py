"""One suite for every admission store, in memory and on a real Valkey, on their own clocks. See also `test_admission_store_*.py`."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from ias.ids import uuid7, uuid7_ms
from ratelimit import bucket, store_valkey
from ratelimit.ports import Admission, AdmissionStore, Limit
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

PATIENT_MS = 5_000
"""These tests are not about the deadline, and share their machine."""
SLOW = Limit("requestsPerMinute", "slow", refill=1, period_ms=3_600_000, capacity=3)
WIDE = Limit("requestsPerMinute", "wide", refill=1, period_ms=3_600_000, capacity=100)
FAST = Limit("requestsPerMinute", "fast", refill=100, period_ms=1_000, capacity=2)


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[AdmissionStore]:
    if request.param == "memory":
        yield MemoryAdmissionStore(lambda: time.time_ns() // 1_000_000)
        return
    server: TestValkey = request.getfixturevalue("valkey")
    on_valkey = store_valkey.connect(server.url, PATIENT_MS)
    yield on_valkey
    await on_valkey.aclose()


def admission(*limits: Limit, org: str = "org", claim: bytes = b"claim", cost: int = 1) -> Admission:
    return Admission(org, secrets.randbits(80), limits, claim, cost)


async def test_admits_up_to_the_capacity_then_refuses(store: AdmissionStore) -> None:
    decisions = [(await store.admit([admission(SLOW)]))[0] for _ in range(4)]
    assert [d.reservation_id is not None for d in decisions] == [True, True, True, False]
    assert [d.states[0].remaining for d in decisions] == [2, 1, 0, 0]
    assert 0 < decisions[3].states[0].retry_ms <= 3_600_000
    assert 2 * 3_600_000 < decisions[3].states[0].ms_to_full <= 3 * 3_600_000


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


async def test_nothing_asked_nothing_answered(store: AdmissionStore) -> None:
    assert await store.admit([]) == []
    assert await store.extend([], 1_000) == []
    assert await store.budgets([]) == []
    await store.settle([])
    await store.reported([])


async def test_the_reservation_id_is_a_uuid7_of_now_and_the_given_bits(store: AdmissionStore) -> None:
    wanted = admission(SLOW)
    before = time.time_ns() // 1_000_000
    (decision,) = await store.admit([wanted])
    assert decision.reservation_id is not None
    rid = uuid.UUID(decision.reservation_id)
    assert before - 1 <= uuid7_ms(rid) <= time.time_ns() // 1_000_000 + 1
    assert rid == uuid7(uuid7_ms(rid), wanted.reservation_entropy)


async def test_many_at_once_never_pass_the_bound(store: AdmissionStore) -> None:
    limit = Limit("requestsPerMinute", "crowd", refill=200, period_ms=1_000, capacity=20)
    started = time.monotonic()
    batches = await asyncio.gather(*(store.admit([admission(limit) for _ in range(10)]) for _ in range(40)))
    elapsed_ms = (time.monotonic() - started) * 1000
    admitted = sum(d.reservation_id is not None for batch in batches for d in batch)
    assert 20 <= admitted <= 20 + 200 * (elapsed_ms + 1) / 1000
