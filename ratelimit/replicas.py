"""How many replicas of a service there are, and what time it is at the store: both are needed when the store has gone, so both are kept.

Each replica beats through the store. While the store is away the last number seen counts on, and it is never less than 1.
"""

import asyncio
import contextlib
import time
from typing import Protocol

from ratelimit.ports import StoreUnavailable
from ratelimit.server_clock import ServerClock

LIVE_BEATS = 3
"""A replica that has missed so many beats is gone."""


class ReplicaRegister(Protocol):
    """Where the replicas of a service see each other."""

    async def beat(self, live_ms: int) -> tuple[int, int]:
        """Be seen as live for `live_ms`; return the register's time in ms and how many are live, or raise StoreUnavailable."""


class Replicas:
    """`interval_s` is the time between two beats."""

    def __init__(self, register: ReplicaRegister, interval_s: float) -> None:
        self._register = register
        self._interval_s = interval_s
        self._clock = ServerClock()
        self.count = 1

    def server_now_ms(self) -> int:
        """The store's time, as its last answers let us know it; before the first one, this machine's."""
        return self._clock.at(_local_ms()) if self._clock.known else time.time_ns() // 1_000_000

    async def beat(self) -> None:
        """Be seen, and see the others; raise StoreUnavailable and keep what was seen last."""
        sent_ms = _local_ms()
        server_ms, count = await self._register.beat(int(LIVE_BEATS * self._interval_s * 1000))
        self._clock.observe(sent_ms, _local_ms(), server_ms)
        self.count = max(1, count)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            with contextlib.suppress(StoreUnavailable):  # whoever asks the store for admissions says so in the log
                await self.beat()
            await asyncio.sleep(self._interval_s)


def _local_ms() -> float:
    return time.monotonic() * 1000
