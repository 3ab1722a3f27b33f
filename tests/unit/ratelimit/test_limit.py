import secrets
import uuid

import pytest

from ias.ids import uuid7, uuid7_tail
from ratelimit.ports import MAX_LEVEL, Admission, Limit, Period, TokenHold, Unit
from ratelimit.store_memory import MemoryAdmissionStore


@pytest.mark.parametrize(("refill", "period_ms", "capacity"), [(0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 2, MAX_LEVEL // 2)])
def test_a_limit_that_no_script_could_keep_exactly_is_refused(refill: int, period_ms: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        Limit("n", "b", refill, period_ms, capacity)


def test_the_tail_of_a_uuid7_is_that_of_the_whole() -> None:
    for bits in (0, (1 << 80) - 1, *(secrets.randbits(80) for _ in range(100))):
        assert str(uuid7(0x0123456789AB, bits)) == f"01234567-89ab-{uuid7_tail(bits)}"
        assert uuid.UUID(f"01234567-89ab-{uuid7_tail(bits)}").version == 7


def test_the_memory_of_the_memory_store_is_bounded_by_what_is_in_use() -> None:
    now = 0
    store = MemoryAdmissionStore(lambda: now)
    for i in range(10_000):
        now = i
        store.decide([Admission("org", 1, (Limit("n", f"b{i}", 1, 1, 1),), b"")])
    assert len(store._state.levels) <= 1_024


def test_deciding_alone_leaves_no_reservation() -> None:
    store = MemoryAdmissionStore(lambda: 0, claim_ttl_ms=1)
    (decision,) = store.decide([Admission("org", 1, (), b"claim")])
    assert decision.reservation_id is not None
    assert len(store._state.records) == 0


def test_a_capacity_of_zero_lets_nothing_pass_and_promises_nothing() -> None:
    store = MemoryAdmissionStore(lambda: 0)
    (decision,) = store.decide([Admission("org", 1, (Limit("n", "b", 1, 60_000, 0),), b"")])
    assert decision.reservation_id is None
    assert [(s.remaining, s.retry_ms) for s in decision.states] == [(0, -1)]


def test_deciding_alone_charges_tokens_at_once_and_counts_no_streams() -> None:
    """Nobody could settle here: the processes that see the end of the request have another memory."""
    now = 0
    store = MemoryAdmissionStore(lambda: now)
    tokens = Limit("tokensPerMinute", "t", 60, 60_000, 100, Unit.TOKENS)
    streams = Limit("concurrentRequests", "s", 0, 1, 1, Unit.STREAMS)
    budget = Limit("monthly budget", "org", 0, 1, 150, Unit.TOKENS, Period.MONTH)

    def decide(wanted: int) -> tuple[bool, list[int]]:
        (decision,) = store.decide([Admission("org", 1, (tokens, streams, budget), b"", tokens=TokenHold(wanted))])
        return decision.reservation_id is not None, [state.remaining for state in decision.states]

    assert decide(90) == (True, [10, 1, 60])
    assert decide(11) == (False, [10, 1, 60])
    now = 90_000
    assert decide(60) == (True, [40, 1, 0])
    assert decide(1) == (False, [40, 1, 0])
