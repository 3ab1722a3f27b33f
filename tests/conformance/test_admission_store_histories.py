"""Random histories: both stores answer as the exact model does, and at the end spent is the ledger's sum for every budget."""

from collections import Counter

import pytest
from redis import Redis

from ratelimit.memory_state import MemoryState
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.admission_history import CLAIM_TTL_MS, SEEDS, History
from tests.support.admission_valkey import PuppetValkey
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

BLOCKS = 8


def histories(block: int) -> tuple[int, ...]:
    return SEEDS[block::BLOCKS]


class MemoryUnderTest:
    """A store in memory that can lose everything, and its clock."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.store = MemoryAdmissionStore(lambda: self.now_ms, CLAIM_TTL_MS)

    def set_clock(self, now_ms: int, known_ms: int) -> None:
        self.now_ms = now_ms
        self.store._state.known_ms = known_ms

    def lose(self) -> None:
        self.store._state = MemoryState()


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_memory_follows_the_model(block: int) -> None:
    total: Counter[str] = Counter()
    for seed in histories(block):
        memory = MemoryUnderTest()
        history = History(seed, memory.store, memory.set_clock)
        await history.play(lambda: None, memory.lose)
        total.update(history.stats)
    assert all(total.values()), total


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_valkey_follows_the_model(valkey: TestValkey, block: int) -> None:
    total: Counter[str] = Counter()
    with Redis.from_url(valkey.url) as client:
        async with PuppetValkey(valkey.url, client) as puppet:
            for seed in histories(block):
                history = History(seed, puppet.store, puppet.set_clock)
                await history.play(puppet.look_everywhere, puppet.lose, puppet.nothing_expires_too_early)
                puppet.nothing_is_held()
                total.update(history.stats)
    assert all(total.values()), total
