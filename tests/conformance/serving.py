"""What the transport suite shares: a server on each transport and address, clients, and machines that record what they hear."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from structlog.testing import capture_logs

from ias.transport import Call, ListenOptions, Method, Server, Stream, StreamMethod, UnaryMethod, new_server
from ias.wire.limits import Limits

TRANSPORTS = ("wire", "grpcio")
UNARY, STREAM = "/ias.test.Echo/Unary", "/ias.test.Echo/Stream"


async def until(probe: Callable[[], object], deadline_s: float = 10) -> None:
    """Let the loop run until `probe` is true."""
    async with asyncio.timeout(deadline_s):
        while not probe():  # noqa: ASYNC110 -- the state of real servers is polled; there is no event to wait for
            await asyncio.sleep(0.005)


async def start_python(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start Python with a program; its output is a pipe.

    Not by the loop: uvloop forks with Python's hooks for forked children, and those may never return in one of gRPC's threads.
    """
    return await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)


async def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and wait for its end."""
    process.kill()
    await asyncio.to_thread(process.communicate)


def echo(calls: Sequence[Call]) -> None:
    for call in calls:
        call.reply(call.message)


@dataclass(slots=True)
class Machine:
    """Records what it hears; `answer` makes the replies, `farewell` is sent at the end."""

    out: Stream
    answer: Callable[["Machine", bytes], Sequence[bytes]] = lambda _, message: [message]
    farewell: Sequence[bytes] = ()
    messages: list[bytes] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def on_message(self, message: bytes) -> Sequence[bytes]:
        assert not self.ends, "called after the end"
        self.messages.append(message)
        return self.answer(self, message)

    def on_end(self) -> None:
        self.ends.append("end")
        self.out.send(self.farewell)

    def on_abort(self) -> None:
        self.ends.append("abort")


class Machines(list[Machine]):
    """All machines of a stream method, in order of opening."""

    def method(self, path: str = STREAM, **behaviour: Any) -> StreamMethod:
        def open_stream(out: Stream) -> Machine:
            self.append(Machine(out, **behaviour))
            return self[-1]

        return StreamMethod(path, open_stream)

    def ends(self) -> list[list[str]]:
        return [machine.ends for machine in self]


class Serving:
    """Starts servers of one transport on one kind of address, and stops what a test leaves running."""

    def __init__(self, transport: str, new_address: Callable[[], str]) -> None:
        self.transport = transport
        self.new_address = new_address
        self._servers: list[Server] = []

    async def start(self, *methods: Method, **options: Any) -> Server:
        """Start a server; `options` are those of `ListenOptions`, or of its limits."""
        options.setdefault("address", self.new_address())
        limits = Limits(**{name: options.pop(name) for name in list(options) if name in Limits.__slots__})
        server = new_server(methods or (UnaryMethod(UNARY, echo),), ListenOptions(limits=limits, **options), self.transport)
        await server.start()
        self._servers.append(server)
        return server

    async def stop(self) -> None:
        for server in self._servers:
            await server.drain(0)


@asynccontextmanager
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    # A limit of its own on the client, and a pool of its own: channels with equal options share connections.
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.address, options=options) as opened:
        yield opened


async def status_of(call: grpc.aio.Call) -> tuple[grpc.StatusCode, str]:
    return await call.code(), await call.details()


class Logged(logging.Handler):
    """Warnings and errors of ours (structlog) and of libraries (logging). A test that provokes one says so in `expected`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.expected: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        # grpc.aio has one completion queue for every loop that the process ever had, here one for each test: a loop woken for
        # nothing says so, and so does the queue when an event belongs to the loop of a test before, which is closed.
        error = record.exc_info[1] if record.exc_info else None
        of_another_test = isinstance(error, RuntimeError) and "PollerCompletionQueue._handle_events" in record.getMessage()
        # And it says so when its answer crosses with the peer's reset: whether the peer has gone in time for it to know is chance.
        crossed = "ExecuteBatchError raised in core by servicer method" in record.getMessage()
        if not (of_another_test or crossed or isinstance(error, BlockingIOError)):
            self.lines.append(record.getMessage() + (f" ({record.exc_info[1]!r})" if record.exc_info and record.exc_info[1] else ""))

    def watch(self) -> Iterator["Logged"]:
        logging.getLogger().addHandler(self)
        with capture_logs() as ours:
            yield self
        logging.getLogger().removeHandler(self)
        unexpected = [line for line in [*self.lines, *(entry["event"] for entry in ours)] if line not in self.expected]
        if unexpected:
            raise AssertionError(f"logged: {unexpected}")
