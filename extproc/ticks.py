"""Work that repeats until the process stops. It is never cancelled: redis-py may swallow a cancellation and go on for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


async def ticks(interval_s: float, finish: asyncio.Event) -> AsyncIterator[None]:
    """Yield now and `interval_s` seconds after each turn, until `finish` is set."""
    while not finish.is_set():
        yield
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await finish.wait()
