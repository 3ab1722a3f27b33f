"""From one read to one write: how events reach handlers. The socket is a list of what was written to it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from structlog.testing import capture_logs

from ias.transport import Call, Method, Status, Stream, StreamMethod, UnaryMethod
from ias.wire.limits import Limits
from ias.wire.protocol import Site, WireProtocol
from tests.support.http2 import ACK, DATA, END_STREAM, GOAWAY, HEADERS, PING, frame, frames, reset
from tests.unit.wire.transcript import GREETING, STREAM, UNARY, call, message, opened


@dataclass
class Socket:
    """An asyncio transport."""

    writes: list[bytes] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    closing: bool = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_extra_info(self, _: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.did.append(name)

    def kinds(self) -> list[list[int]]:
        """Kinds of the frames of each write; forgets them."""
        written = [[kind for kind, *_ in frames(data)] for data in self.writes]
        self.writes.clear()
        return written


def connected(*methods: Method, **limits: float) -> tuple[WireProtocol, Socket]:
    protocol, socket = WireProtocol(Site(methods, Limits(**limits))), Socket()  # type: ignore[arg-type]
    protocol.connection_made(cast("asyncio.Transport", socket))
    protocol.data_received(GREETING)
    socket.writes.clear()
    return protocol, socket


class Batches(list[list[Call]]):
    """A unary handler that remembers its batches."""

    def __call__(self, calls: Sequence[Call]) -> None:
        self.append(list(calls))

    def messages(self) -> list[list[bytes]]:
        return [[call.message for call in batch] for batch in self]


def echo(calls: Sequence[Call]) -> None:
    for each in calls:
        each.reply(each.message)


async def test_one_read_is_one_batch_for_each_method_and_one_write() -> None:
    batches, others = Batches(), Batches()
    protocol, socket = connected(UnaryMethod(UNARY, batches), UnaryMethod("/other", others), UnaryMethod("/echo", echo))
    protocol.data_received(call(1, b"a") + call(3, b"b", "/other") + call(5, b"c") + call(7, b"d", "/echo") + call(9, b"e", "/echo"))
    assert (batches.messages(), others.messages()) == ([[b"a", b"c"]], [[b"b"]])
    assert socket.kinds() == [[HEADERS, 0, HEADERS] * 2]


async def test_answers_of_one_turn_of_the_loop_are_one_write() -> None:
    batches = Batches()
    protocol, socket = connected(UnaryMethod(UNARY, batches))
    protocol.data_received(call(1) + call(3) + call(5))
    for each in batches[0]:
        each.reply(b"late")
    assert socket.writes == []
    await asyncio.sleep(0)
    assert socket.kinds() == [[HEADERS, 0, HEADERS] * 3]
    batches[0][0].reply(b"twice")
    await asyncio.sleep(0)
    assert socket.writes == []


async def test_what_is_cancelled_in_the_same_read_spares_the_handler() -> None:
    batches = Batches()
    protocol, _ = connected(UnaryMethod(UNARY, batches))
    protocol.data_received(call(1, b"a") + call(3, b"b") + reset(1))
    assert batches.messages() == [[b"b"]]


@dataclass
class Machine:
    """Does what it is told by a message, and remembers what it hears."""

    out: Stream
    heard: list[bytes | str] = field(default_factory=list)

    def on_message(self, text: bytes) -> Sequence[bytes]:
        self.heard.append(text)
        if text == b"raise":
            raise RuntimeError("a secret")
        if text == b"end":
            self.out.send([b"first"])
            self.out.end(Status.NOT_FOUND, "gone")
            self.out.send([b"never"])
        return [text]

    def on_end(self) -> None:
        self.heard.append("END")
        self.out.send([b"bye"])

    def on_abort(self) -> None:
        self.heard.append("ABORT")


def streaming() -> tuple[WireProtocol, Socket, list[Machine]]:
    machines: list[Machine] = []

    def open_stream(out: Stream) -> Machine:
        machines.append(Machine(out))
        return machines[-1]

    protocol, socket = connected(StreamMethod(STREAM, open_stream))
    return protocol, socket, machines


async def test_a_machine_hears_messages_and_one_end() -> None:
    protocol, socket, machines = streaming()
    protocol.data_received(opened(1) + message(1, b"a") + message(1, b"b", END_STREAM))
    assert socket.kinds() == [[HEADERS, 0, 0, 0, HEADERS]]
    protocol.data_received(reset(1))
    assert machines[0].heard == [b"a", b"b", "END"]


async def test_all_that_one_read_brought_is_one_commit() -> None:
    committed: list[int] = []
    machines: list[Machine] = []

    def open_stream(out: Stream) -> Machine:
        machines.append(Machine(out))
        return machines[-1]

    protocol, socket = connected(StreamMethod(STREAM, open_stream, lambda: committed.append(len(socket.writes))))
    committed.clear()
    protocol.data_received(opened(1) + opened(3) + message(1, b"a") + message(3, b"b"))
    assert ([machine.heard for machine in machines], committed) == ([[b"a"], [b"b"]], [0])


async def test_what_a_machine_returns_is_sent_before_its_end() -> None:
    protocol, socket, machines = streaming()
    protocol.data_received(opened(1) + message(1, b"end") + message(1, b"unheard"))
    texts = [payload[5:] for kind, _, _, payload in frames(socket.writes[0]) if kind == 0]
    assert (machines[0].heard, texts) == ([b"end"], [b"first", b"end"])
    protocol.data_received(reset(1))
    protocol.connection_lost(None)
    assert machines[0].heard == [b"end"]


@pytest.mark.parametrize("how", ["reset", "lost", "protocol error"])
async def test_an_abort_is_heard_once(how: str) -> None:
    protocol, _, machines = streaming()
    protocol.data_received(opened(1) + message(1, b"a"))
    with capture_logs():
        if how == "lost":
            protocol.connection_lost(ConnectionResetError())
        else:
            protocol.data_received(reset(1) if how == "reset" else frame(PING, 0, 1, bytes(8)))
    protocol.connection_lost(None)
    assert machines[0].heard == [b"a", "ABORT"]
    machines[0].out.send([b"nobody listens"])
    machines[0].out.end()


async def test_an_exception_ends_its_stream_alone() -> None:
    protocol, _, machines = streaming()
    with capture_logs() as logged:
        protocol.data_received(opened(1) + opened(3) + message(1, b"raise") + message(3, b"a") + message(1, b"unheard"))
    assert [machine.heard for machine in machines] == [[b"raise", "ABORT"], [b"a"]]
    assert [line["event"] for line in logged] == ["stream handler failed"]


async def test_a_stream_that_overflows_is_aborted_although_nothing_was_received() -> None:
    machines: list[Machine] = []

    def open_stream(out: Stream) -> Machine:
        machines.append(Machine(out))
        return machines[-1]

    protocol, _ = connected(StreamMethod(STREAM, open_stream), max_unsent_bytes=100_000)
    protocol.data_received(opened(1))
    machines[0].out.send([bytes(200_000)])
    await asyncio.sleep(0)
    assert machines[0].heard == ["ABORT"]


async def test_a_socket_that_takes_no_more_is_not_read_from() -> None:
    protocol, socket, machines = streaming()
    protocol.data_received(opened(1))
    protocol.pause_writing()
    machines[0].out.send([b"later"])
    await asyncio.sleep(0)
    assert (socket.kinds(), socket.did) == ([[HEADERS]], ["pause_reading"])
    protocol.resume_writing()
    await asyncio.sleep(0)
    assert (socket.kinds(), socket.did) == ([[DATA]], ["pause_reading", "resume_reading"])


async def test_errors_of_peers_are_counted_and_logged_but_not_endlessly() -> None:
    protocol, socket = connected(UnaryMethod(UNARY, echo))
    site = protocol._site
    clock = asyncio.get_running_loop()
    began = clock.time()
    with capture_logs() as logged:
        for _ in range(50):
            other = WireProtocol(site)
            other.connection_made(cast("asyncio.Transport", Socket()))
            other.data_received(b"GET / HTTP/1.1\r\n")
    assert 10 <= len(logged) <= 10 * (int(clock.time()) - int(began) + 1)
    assert site.counts.errors == {"protocol_error": 50}
    assert len(site.connections) == 51
    assert socket.did == []


async def test_a_drained_connection_waits_for_its_peer_to_close() -> None:
    protocol, socket = connected(UnaryMethod(UNARY, echo))
    protocol.drain()
    await asyncio.sleep(0)
    assert socket.kinds() == [[GOAWAY, PING]]
    protocol.data_received(frame(PING, ACK, 0, b"draining"))
    assert (socket.kinds(), socket.did) == ([[GOAWAY]], ["write_eof"])
    now = asyncio.get_running_loop().time()
    protocol.tick(now)
    assert socket.did == ["write_eof"]
    protocol.tick(now + 10)
    assert socket.did == ["write_eof", "abort"]


async def test_a_connection_too_many_is_closed() -> None:
    first, _ = connected(UnaryMethod(UNARY, echo), max_connections=1)
    second, socket = WireProtocol(first._site), Socket()
    second.connection_made(cast("asyncio.Transport", socket))
    assert socket.did == ["abort"]
    second.connection_lost(None)
    assert first._site.connections == {first}
    assert first._site.counts.errors == {"connection_refused": 1}
