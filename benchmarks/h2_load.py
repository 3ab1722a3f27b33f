"""A process that loads one server, an echo or, with a path, any unary method: `python -m benchmarks.h2_load ADDRESS [PATH]`.

Orders come as JSON lines, each gets its figures back.
"""

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.echo_server import STREAM, UNARY
from benchmarks.h2_client import AnyAnswer, Client, Exchange, Work, connect

_STALL_S = 20
"""A server that answers nothing for so long has failed."""


@dataclass
class Closed:
    """A closed loop: a call that ends begins the next, until the time is over."""

    until: float
    times: list[float] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self, client: Client, exchange: Exchange) -> None:
        now = time.perf_counter()
        self.times.append(now - exchange.began)
        if now < self.until:
            client.begin()
        elif not client.exchanges:
            self.ended.set()


async def load(client: Client, in_flight: int, seconds: float) -> dict[str, Any]:
    """Keep `in_flight` calls under way for some seconds, and let the last ones end."""
    began = time.perf_counter()
    loop = Closed(began + seconds)
    client.done = loop.done
    for _ in range(in_flight):
        client.begin()
    client.flush()
    async with asyncio.timeout(seconds + _STALL_S):
        await loop.ended.wait()
    took = time.perf_counter() - began
    return {"calls": len(loop.times), "seconds": took, "p50_us": statistics.median(loop.times) * 1e6, "errors": client.errors}


async def obey(address: str, path: str = "") -> None:
    client = await connect(address, Work(UNARY, b""), lambda *_: None, AnyAnswer if path else Client)
    print(json.dumps({}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        method = path or (UNARY if order["unary"] else STREAM)
        message = bytes.fromhex(order["message"]) if "message" in order else bytes(order["size"])
        client.prepare(Work(method, message, order["unary"], order["messages"], order["traced"], "2000m" if order["unary"] else ""))
        print(json.dumps(await load(client, order["in_flight"], order["seconds"])), flush=True)
    client.close()


if __name__ == "__main__":
    uvloop.run(obey(*sys.argv[1:]))
