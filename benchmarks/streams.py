"""An engine and its clients for streams by the thousand: raw asyncio, a process each, as cheap as Python can be.

`python -m benchmarks.streams engine PORT` answers every request with a stream: so many chunks at such a pace, as its header says.
Every chunk carries the time when it was sent, so that a client (on the same machine and clock) sees how long it was on its way.
`python -m benchmarks.streams clients FILE` reads a `Run` as JSON from standard input and writes a `Seen` to the file.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

HEADER = "x-bench"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = b'data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":" word"},"sent":%016d}]}\n\n'
_MARK = b'"sent":'
_USAGE = b'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}}\n\n'
_BODY = b'{"model":"%b","stream":true,"messages":[{"role":"user","content":"Tell me about the sea"}]}'


class Run(msgspec.Struct):
    """Streams that begin evenly over one pace and run side by side."""

    url: str
    api_key: str
    model: str
    streams: int
    chunks: int
    pace_ms: float


class Seen(msgspec.Struct):
    """What the clients saw, all streams together."""

    complete: int
    gaps_us: list[int]
    """Between chunks that came one after the other in a stream."""
    on_way_us: list[int]
    """From the engine to the client."""


class _Engine(asyncio.Protocol):
    """Answers each request of a connection as soon as its head is there; the body is left unread."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            body = b'{"object":"list","data":[{"id":"m","object":"model"}]}'
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            self._transport.close()
        elif data.startswith(b"POST "):
            wanted = data.partition(b"\r\n%b: " % HEADER.encode())[2].partition(b"\r\n")[0].decode()
            chunks, pace_ms = wanted.split("x") if wanted else ("1", "0")
            self._task = asyncio.create_task(self._stream(int(chunks), float(pace_ms) / 1000))

    def connection_lost(self, _: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _stream(self, chunks: int, pace_s: float) -> None:
        self._transport.write(_HEAD)
        next_at = time.monotonic()
        for _ in range(chunks):
            next_at += pace_s
            await asyncio.sleep(max(0, next_at - time.monotonic()))
            self._write(_CHUNK % (time.monotonic_ns() // 1000))
        self._write(_USAGE % (chunks, chunks + 7) + b"data: [DONE]\n\n")
        self._transport.write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))


class _Client(asyncio.Protocol):
    """One stream."""

    def __init__(self, request: bytes, seen: Seen) -> None:
        self._request, self._seen = request, seen
        self._last_us = 0
        self._tail = b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_us = time.monotonic_ns() // 1000
        position = -1
        while (position := data.find(_MARK, position + 1)) >= 0:
            if len(sent := data[position + len(_MARK) : position + len(_MARK) + 16]) == 16:
                self._seen.on_way_us.append(now_us - int(sent))
            if self._last_us:
                self._seen.gaps_us.append(now_us - self._last_us)
            self._last_us = now_us
        self._tail = (self._tail + data)[-64:]
        if self._tail.endswith(b"0\r\n\r\n"):
            self._seen.complete += b"[DONE]" in self._tail
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Engine, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def _run(run: Run) -> Seen:
    address, seen = urlsplit(run.url), Seen(0, [], [])
    body = _BODY % run.model.encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {run.api_key}\r\n"
    head += f"{HEADER}: {run.chunks}x{run.pace_ms}\r\n"
    request = f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
    clients = []
    spread_s = max(run.pace_ms / 1000, run.streams / 500)  # they begin at most 500 in a second
    for _ in range(run.streams):
        _, client = await asyncio.get_running_loop().create_connection(lambda: _Client(request, seen), address.hostname, address.port)
        clients.append(client)
        await asyncio.sleep(spread_s / run.streams)
    await asyncio.gather(*(client.over for client in clients))
    return seen


def main() -> None:
    if sys.argv[1] == "engine":
        uvloop.run(_serve(int(sys.argv[2])))
    else:
        run = msgspec.convert(json.load(sys.stdin), Run)
        Path(sys.argv[2]).write_bytes(msgspec.json.encode(uvloop.run(_run(run))))


if __name__ == "__main__":
    main()
