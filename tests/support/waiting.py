"""Waiting for what will happen soon, without sleeping for luck."""

import asyncio
from collections.abc import Callable


async def until(probe: Callable[[], object], deadline_s: float = 10, every_s: float = 0.005) -> None:
    """Let the loop run until `probe` is true; TimeoutError after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not probe():  # noqa: ASYNC110 -- what is waited for happens in other processes and has no event
            await asyncio.sleep(every_s)
