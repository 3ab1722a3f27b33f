"""A process that asks the registry at a steady rate: `python -m benchmarks.registry_load ADDRESS`. An open loop: a late answer holds nobody up."""

import asyncio
import json
import random
import sys
import time
from typing import Any

import uvloop

from benchmarks.h2_client import AnyAnswer, Client, Exchange, Work, connect, header_block
from protos import GET_TENANT_MODEL, LIST_TENANT_MODELS
from protos.registry_pb2 import GetTenantModelRequest, ListTenantModelsRequest

_TURN_S = 0.001
_STALL_S = 20
CONNECTIONS = 4
_LISTED = 0.2
"""Share of the requests that list; the others resolve."""


class Asker(AnyAnswer):
    """Asks what is different each time."""

    def ask(self, block: bytes, message: bytes) -> int:
        """Begin a call of any method; return its number."""
        self._block, self._data = block, b"\0" + len(message).to_bytes(4, "big") + message
        self.begin()
        return self._next_id - 2


class Load:
    """What was asked, and how long each answer took from the moment at which it was due."""

    def __init__(self, orgs: list[str], models: list[str], seed: int) -> None:
        self._orgs, self._models, self._chance = orgs, models, random.Random(seed)
        self._blocks = {path: header_block(path, "") for path in (GET_TENANT_MODEL, LIST_TENANT_MODELS)}
        self._due: dict[tuple[int, int], tuple[str, float]] = {}
        self.times: dict[str, list[float]] = {GET_TENANT_MODEL: [], LIST_TENANT_MODELS: []}
        self.lost = self.refused = 0

    def done(self, client: Client, exchange: Exchange) -> None:
        path, due = self._due.pop((id(client), exchange.stream_id))
        self.times[path].append(time.perf_counter() - due)
        self.refused += exchange.left

    def begin(self, client: Asker, due: float) -> None:
        """Ask for something by chance."""
        org = self._chance.choice(self._orgs)
        if self._chance.random() < _LISTED:
            path, message = LIST_TENANT_MODELS, self._listing(org)
        else:
            path, message = GET_TENANT_MODEL, GetTenantModelRequest(tenant_id=org, model=self._chance.choice(self._models)).SerializeToString()
        self._due[id(client), client.ask(self._blocks[path], message)] = path, due

    def _listing(self, org: str) -> bytes:
        capability = self._chance.choice(["", "chat", "tools", "embeddings"])
        provider = self._chance.choice(["", "", f"backend-{self._chance.randrange(20):02}"])
        return ListTenantModelsRequest(tenant_id=org, capability=capability, provider=provider, page_size=50).SerializeToString()

    async def offer(self, clients: list[Asker], rate: float, seconds: float) -> None:
        """Begin `rate` calls in each second, whatever has come back."""
        began, begun = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds:
            for number in range(begun, int(now * rate)):
                self.begin(clients[number % len(clients)], began + number / rate)
            begun = int(now * rate)
            for client in clients:
                client.flush()
            await asyncio.sleep(_TURN_S)
        async with asyncio.timeout(_STALL_S):
            while self._due:  # noqa: ASYNC110 -- it is 1 ms
                await asyncio.sleep(_TURN_S)


async def obey(address: str) -> None:
    """Take orders."""
    print(json.dumps({}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order: dict[str, Any] = json.loads(line)
        load = Load(order["orgs"], order["models"], order["seed"])
        clients = [await connect(address, Work(GET_TENANT_MODEL, b""), load.done, Asker) for _ in range(CONNECTIONS)]
        await load.offer(clients, order["rate"], order["seconds"])
        errors = [error for client in clients for error in client.errors if "replies missing" not in error]
        for client in clients:
            client.close()
        resolved, listed = load.times[GET_TENANT_MODEL], load.times[LIST_TENANT_MODELS]
        taken = sum(client.bytes_taken for client in clients)
        print(json.dumps({"resolve": resolved, "list": listed, "refused": load.refused, "errors": errors, "bytes": taken}), flush=True)


if __name__ == "__main__":
    uvloop.run(obey(sys.argv[1]))
