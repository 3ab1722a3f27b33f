"""A process that offers an echo server a steady rate of work, on connections that come and go: `python -m benchmarks.churn ADDRESS`."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.echo_server import STREAM, UNARY
from benchmarks.h2_client import Client, Exchange, Work, connect

CONNECTIONS = 4
_TURN_S = 0.005
_STALL_S = 20
_CALL = Work(UNARY, bytes(1024), traced=True, timeout="60S")
_CONVERSATION = Work(STREAM, bytes(256), unary=False, messages=1_000_000)
"""Longer than anybody waits: it is always cut."""


@dataclass
class Churn:
    address: str
    clients: list[Client] = field(default_factory=list)
    calls: int = 0
    cancelled: int = 0
    errors: list[str] = field(default_factory=list)

    def done(self, _: Client, __: Exchange) -> None:
        self.calls += 1

    async def renew(self, place: int) -> None:
        """Put a new connection in the place of an old one, which ends its calls first. A stream is under way on each."""
        old = self.clients[place] if place < len(self.clients) else None
        new = await connect(self.address, _CONVERSATION, self.done)
        new.begin()
        new.prepare(_CALL)
        new.flush()
        self.clients[place : place + 1] = [new]
        if old is not None:
            await self.leave(old)

    async def leave(self, client: Client) -> None:
        """Cut its stream, wait for its calls, close."""
        for exchange in [one for one in client.exchanges.values() if one.left > 1]:
            client.cancel(exchange)
            self.cancelled += 1
        client.flush()
        async with asyncio.timeout(_STALL_S):
            while client.exchanges:  # noqa: ASYNC110 -- it is 5 ms
                await asyncio.sleep(_TURN_S)
        client.close()
        await client.lost
        self.errors += client.errors

    async def offer(self, rate: float, seconds: float, most_at_once: int, turn_s: float = _TURN_S) -> dict[str, Any]:
        """Begin `rate` calls in each second, whatever has come back, those of one turn together.

        What a stall of the machine held up beyond `most_at_once` is left out: half of the load must not become a burst of all of it.
        """
        began = time.perf_counter()
        before = self.calls, self.cancelled
        due, renewed, left_out = 0, 0, 0
        while (now := time.perf_counter() - began) < seconds:
            late = max(0, int(now * rate) - due - most_at_once)
            left_out += late
            for number in range(due + late, int(now * rate)):
                self.clients[number % CONNECTIONS].begin()
            due = int(now * rate)
            for client in self.clients:
                client.flush()
            if now > renewed:
                await self.renew(renewed % CONNECTIONS)
                renewed += 1
            await asyncio.sleep(turn_s)
        errors, self.errors = self.errors, []
        return {"calls": self.calls - before[0], "cancelled": self.cancelled - before[1], "left_out": left_out, "errors": errors}


async def obey(address: str) -> None:
    churn = Churn(address)
    for place in range(CONNECTIONS):
        await churn.renew(place)
    print(json.dumps({}), flush=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await churn.offer(**json.loads(line))), flush=True)
    for client in churn.clients:
        await churn.leave(client)


if __name__ == "__main__":
    uvloop.run(obey(sys.argv[1]))
