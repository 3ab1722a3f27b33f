"""`python -m extproc` as a process, and Envoy's place on the other side of its socket."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from ias.context import RequestContext
from protos import PROCESS
from protos.ext_proc_pb2 import ProcessingRequest
from tests.support.ext_proc import KEYS, in_words, request_headers, some_context
from tests.support.waiting import until

SETTINGS = {
    "IAS_SIGNING_KEYS": json.dumps({kid: key.hex() for kid, key in KEYS.keys.items()}),
    "IAS_SIGNING_KEY_CURRENT": KEYS.current,
    "IAS_REAP_INTERVAL_S": "0.1",
}


class Running:
    """A started process; `log` is what it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path, spool: Path) -> None:
        self.process, self.socket, self.spool = process, socket, spool
        self.log: list[dict[str, Any]] = []
        self.said = ""

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if line.startswith(b"{"):
                self.log.append(json.loads(line))
            else:
                self.said += line.decode()

    def has_logged(self, message: str) -> bool:
        return any(line["message"] == message for line in self.log)

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    @contextlib.asynccontextmanager
    async def envoy(self) -> AsyncIterator["EnvoySide"]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            yield EnvoySide(channel)


class EnvoySide:
    """One connection, a stream for each request."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._open = channel.stream_stream(PROCESS, request_serializer=ProcessingRequest.SerializeToString, response_deserializer=in_words)

    def request(self) -> Any:
        return self._open()

    async def admitted(self, context: RequestContext) -> Any:
        """A request that extproc follows."""
        stream = self.request()
        await say(stream, request_headers(context))
        return stream


async def say(stream: Any, message: ProcessingRequest) -> str:
    """Send a message and return the reply in words."""
    await stream.write(message)
    reply: str = await asyncio.wait_for(stream.read(), 10)
    return reply


def fresh_context(number: int = 0, **changes: Any) -> RequestContext:
    """A context that is signed now."""
    return some_context(number, signed_at_ms=time.time_ns() // 1_000_000, **changes)


@contextlib.asynccontextmanager
async def extproc(home: Path, valkey_url: str, *, wrap: tuple[str, ...] = (), ready: bool = True, **environment: str) -> AsyncIterator[Running]:
    """Start one on the spool `home/spool` and stop it at the end; `wrap` is a command to start it with."""
    socket, spool = home / "x.sock", home / "spool"
    process = await asyncio.create_subprocess_exec(
        *wrap,
        sys.executable,
        "-m",
        "extproc",
        env={**os.environ, **SETTINGS, "IAS_LISTEN": f"unix:{socket}", "IAS_SPOOL_DIR": str(spool), "IAS_VALKEY_URL": valkey_url, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process, socket, spool)
    reading = asyncio.ensure_future(running.read_log())
    try:
        if ready:
            await until(lambda: running.has_logged("extproc started") or process.returncode is not None, deadline_s=30)
            assert process.returncode is None, running.said
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()
        await reading
