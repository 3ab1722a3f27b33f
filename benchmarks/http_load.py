"""A process that sends the same chat completion again and again: `python -m benchmarks.http_load`. Orders come as JSON lines."""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop

_STALL_S = 30


def request(order: dict[str, Any]) -> bytes:
    """A whole request; its body has `size` bytes."""
    body = json.dumps({"model": order["model"], "max_tokens": 16, "messages": [{"role": "user", "content": "@"}]})
    body = body.replace("@", "word " * ((order["size"] - len(body)) // 5)).ljust(order["size"])
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {order['key']}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


@dataclass
class Run:
    until: float
    request: bytes
    times: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    open: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Connection(asyncio.Protocol):
    """One connection in a closed loop."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        self._run.open += 1
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data
        end = got.find(b"\r\n\r\n")
        at = got.find(b"content-length: ", 0, end)
        if end < 0 or at < 0 or len(got) < end + 4 + int(got[at + 16 : got.find(b"\r", at)]):
            return
        now = time.perf_counter()
        self._run.times.append(now - self._began)
        if not got.startswith(b"HTTP/1.1 200"):
            self._run.failed[f"{got[9:12].decode()} {got[end + 4 :].decode(errors='replace')[:200]}"] += 1
        self._got = b""
        if now < self._run.until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if time.perf_counter() < self._run.until:
            self._run.failed["connection lost"] += 1
        self._run.open -= 1
        if not self._run.open:
            self._run.ended.set()


async def load(order: dict[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    run = Run(began + order["seconds"], request(order))
    loop = asyncio.get_running_loop()
    for _ in range(order["connections"]):
        await loop.create_connection(lambda: Connection(run), "127.0.0.1", order["port"])
    async with asyncio.timeout(order["seconds"] + _STALL_S):
        await run.ended.wait()
    took = time.perf_counter() - began
    return {"requests": len(run.times), "seconds": took, "p50_ms": statistics.median(run.times) * 1e3, "failed": run.failed}


async def obey() -> None:
    print(json.dumps({}), flush=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await load(json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(obey())
