import secrets
import uuid

import pytest

from ias.ids import uuid7, uuid7_tail
from ratelimit.ports import MAX_LEVEL, Admission, Limit, Reservation, TokenHold
from ratelimit.store_memory import MemoryAdmissionStore


@pytest.mark.parametrize(("refill", "period_ms", "capacity"), [(0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 2, MAX_LEVEL // 2)])
def test_a_limit_that_no_script_could_keep_exactly_is_refused(refill: int, period_ms: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        Limit("n", "b", refill, period_ms, capacity)


def test_the_tail_of_a_uuid7_is_that_of_the_whole() -> None:
    for bits in (0, (1 << 80) - 1, *(secrets.randbits(80) for _ in range(100))):
        assert str(uuid7(0x0123456789AB, bits)) == f"01234567-89ab-{uuid7_tail(bits)}"
        assert uuid.UUID(f"01234567-89ab-{uuid7_tail(bits)}").version == 7


async def test_the_memory_of_the_memory_store_is_bounded_by_what_is_in_use() -> None:
    now = 0
    store = MemoryAdmissionStore(lambda: now)
    for i in range(5_000):
        now = i
        (decision,) = await store.admit([Admission("org", i, (Limit("n", f"b{i}", 1, 1, 1),), b"")])
        await store.settle([(Reservation("org", "", "", decision.reservation_id or ""), 1)])
    state = store._state
    assert len(state.levels) <= 1_024
    assert len(state.records) == len(state.due) == len(state.swept) == 0


@pytest.mark.parametrize(
    ("full", "share", "reduced", "at_least"), [(-1, 100, 0, 0), (1 << 40, 100, 0, 0), (1, 0, 0, 0), (1, 101, 0, 0), (1, 1, -1, 0), (1, 1, 0, -1)]
)
def test_a_hold_that_no_script_could_decide_exactly_is_refused(full: int, share: int, reduced: int, at_least: int) -> None:
    with pytest.raises(ValueError, match="not a hold"):
        TokenHold(full, share, reduced, at_least)
