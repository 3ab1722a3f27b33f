"""Clients by the thousand, cheap: requests over raw HTTP/1.1, each of which reads to the end or leaves after some events.

What a client saw is an `Outcome`. A client parses no JSON: it counts events and sees whether the answer ended as HTTP answers end.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 120
"""Nobody waits longer: a request that hangs is a failure, not the end of the test."""
_MESSAGES = [{"role": "user", "content": "Tell me about the sea in a few words."}]


@dataclass(frozen=True)
class Wish:
    """One request, and what its client does with the answer."""

    model: str
    api_key: str
    kind: str = ""
    """What the request stands for in the load; the accounting groups by it."""
    simulate: str = ""
    leave_after: int | None = None
    """Events after which the client hangs up; 0: as soon as it has asked."""
    body: dict[str, Any] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    patience_s: float = PATIENCE_S
    """Then its client hangs up, whatever has come."""


@dataclass(frozen=True)
class Outcome:
    """What became of a wish."""

    kind: str
    status: int
    """0: no answer came."""
    request_id: str
    events: int
    ended: bool
    """The answer ended as answers end."""
    code: str
    """Of an error."""
    to_headers_s: float
    seconds: float
    at_s: float
    """When it was asked, on the monotonic clock."""


async def ask(gateway: str, wish: Wish) -> Outcome:
    """Make one request on a connection of its own."""
    began = time.monotonic()
    seen = _Seen(wish.leave_after)
    try:
        async with asyncio.timeout(wish.patience_s):
            address = urlsplit(gateway)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(_request(wish, address.netloc))
                await seen.read(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    headers_at = seen.headers_at or time.monotonic()
    return Outcome(wish.kind, seen.status, seen.request_id, seen.events, seen.ended, seen.code, headers_at - began, time.monotonic() - began, began)


def _request(wish: Wish, host: str) -> bytes:
    members: dict[str, Any] = {"model": wish.model, "stream": True}
    members |= {"messages": _MESSAGES} if "chat" in wish.path or "messages" in wish.path else {"prompt": "Tell me about the sea"}
    body = json.dumps(members | wish.body).encode()
    head = f"POST {wish.path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {wish.api_key}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nx-engine-simulate: {wish.simulate}\r\nconnection: close\r\n\r\n".encode() + body


class _Seen:
    """Reads an answer."""

    def __init__(self, leave_after: int | None) -> None:
        self._leave_after = leave_after
        self.status = 0
        self.request_id = ""
        self.events = 0
        self.ended = False
        self.code = ""
        self.headers_at: float | None = None

    async def read(self, reader: asyncio.StreamReader) -> None:
        if self._leave_after == 0:
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.headers_at = time.monotonic()
        self.status = int(head.split(" ", 2)[1])
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.request_id = fields.get("x-request-id", "")
        if "content-length" in fields:
            await self._whole(reader, int(fields["content-length"]))
        else:
            await self._chunks(reader)

    async def _whole(self, reader: asyncio.StreamReader, length: int) -> None:
        body = await reader.readexactly(length)
        self.ended = True
        if self.status >= 400:
            self.code = str(json.loads(body).get("error", {}).get("code"))

    async def _chunks(self, reader: asyncio.StreamReader) -> None:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            chunk = await reader.readexactly(size + 2)
            self.events += chunk.count(b"data: ")
            if self._leave_after is not None and self.events >= self._leave_after:
                return
        self.ended = True


async def run(gateway: str, wishes: Sequence[Wish], seconds: float, on_answer: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """Make all requests, begun evenly over the time, and return when the last has its outcome."""
    began = time.monotonic()
    tasks = []
    for number, wish in enumerate(wishes):
        await asyncio.sleep(max(0, began + seconds * number / len(wishes) - time.monotonic()))
        task = asyncio.create_task(ask(gateway, wish))
        task.add_done_callback(lambda done: on_answer(done.result()))
        tasks.append(task)
    return list(await asyncio.gather(*tasks))


@contextlib.contextmanager
def beside(work: Coroutine[Any, Any, list[Outcome]]) -> Iterator[list[Outcome]]:
    """Run a load on a thread of its own while the body runs; its outcomes are in the list when the body has ended and the load too."""
    outcomes: list[Outcome] = []
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, work)
        yield outcomes
        outcomes += running.result()


async def in_turns(gateway: str, wishes: Sequence[Wish], at_once: int) -> list[Outcome]:
    """Make all requests, so many at once; the next begins when one ends."""
    waiting = iter(wishes)
    outcomes: list[Outcome] = []

    async def client() -> None:
        for wish in waiting:
            outcomes.append(await ask(gateway, wish))  # noqa: PERF401  # one after the other

    await asyncio.gather(*(client() for _ in range(at_once)))
    return outcomes


async def stubbornly(gateway: str, wishes: Sequence[Wish], at_once: int) -> list[Outcome]:
    """As `in_turns`, but who is refused for now asks again, until it is answered or told that the budget is spent."""
    waiting = iter(wishes)
    outcomes: list[Outcome] = []
    end = time.monotonic() + PATIENCE_S

    async def client() -> None:
        for wish in waiting:
            while time.monotonic() < end:
                outcomes.append(await ask(gateway, wish))
                if outcomes[-1].code == "insufficient_quota":
                    return
                if outcomes[-1].status == 200:
                    break
                await asyncio.sleep(0.2)

    await asyncio.gather(*(client() for _ in range(at_once)))
    return outcomes


Crowd = Callable[[str, Sequence[Wish], int], Coroutine[Any, Any, list[Outcome]]]


def in_processes(crowd: Crowd, gateway: str, shares: Sequence[Sequence[Wish]], at_once: int) -> list[Outcome]:
    """Give each share to a process of its own, which has `at_once` requests at once."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(len(shares), mp_context=context) as pool:
        done = [pool.submit(_share, crowd, gateway, share, at_once) for share in shares]
        return [outcome for share in done for outcome in share.result()]


def _share(crowd: Crowd, gateway: str, wishes: Sequence[Wish], at_once: int) -> list[Outcome]:
    return asyncio.run(crowd(gateway, wishes, at_once))
