"""The transport port: how gRPC calls of Envoy reach a handler. Handlers know no gRPC library (design §8).

Two handler shapes, both synchronous and bytes in, bytes out:

* a unary batch gets all calls that came together, and answers each at once or later;
* a stream machine gets one message at a time and returns the messages to send. When all that came together was taken, and before any
  of the answers is sent, its method may `commit` what they stand for in one piece.

The loop is never blocked: what must wait is started as a task, and `Call.reply` or `Stream.send` is called when it is done.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Literal, Protocol

from ias.wire.limits import Limits


class Status(IntEnum):
    """The gRPC status codes in use (https://grpc.io/docs/guides/status-codes/)."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


Metadata = Sequence[tuple[str, str]]
"""Custom metadata (https://grpc.io/docs/guides/metadata/) in its order; binary entries (`-bin`) are left out."""
_OF_THE_TRANSPORT = frozenset(("te", "content-type", "content-length", "user-agent"))


def custom_metadata(fields: Iterable[tuple[str, str]]) -> Metadata:
    """What of the header fields of a call is metadata."""
    return tuple(
        (name, value) for name, value in fields if not (name.startswith((":", "grpc-")) or name.endswith("-bin") or name in _OF_THE_TRANSPORT)
    )


class Call(Protocol):
    """One unary call. Exactly one of `reply` and `fail` is called, once; calls after the peer has gone are ignored."""

    @property
    def message(self) -> bytes:
        """The request message."""

    @property
    def deadline(self) -> float | None:
        """Time of the loop (`loop.time()`) at which the peer gives up; None: never."""

    @property
    def metadata(self) -> "Metadata":
        """What the peer sent beside the message."""

    def reply(self, message: bytes) -> None:
        """Answer with a message and status OK."""

    def fail(self, status: Status, reason: str) -> None:
        """End without a message; `reason` reaches the peer, so it holds no secret."""


class Stream(Protocol):
    """The sending side of one bidirectional stream; calls after the end are ignored."""

    @property
    def deadline(self) -> float | None:
        """Time of the loop (`loop.time()`) at which the peer gives up; None: never."""

    @property
    def metadata(self) -> "Metadata":
        """What the peer sent at the beginning."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages that no incoming message waits for.

        A peer that does not read is not read from either. If messages are sent to it all the same, the stream ends at a
        limit: RESOURCE_EXHAUSTED, and `on_abort`.
        """

    def end(self, status: Status = Status.OK, reason: str = "") -> None:
        """End the stream after what was sent."""


class StreamMachine(Protocol):
    """One bidirectional stream. After `on_end` or `on_abort`, or after its own `Stream.end`, nothing more is called."""

    def on_message(self, message: bytes) -> Sequence[bytes]:
        """Take one message, return the messages to send back."""

    def on_end(self) -> None:
        """The peer finished its side cleanly."""

    def on_abort(self) -> None:
        """The peer cancelled, or its connection is gone."""


def _nothing() -> None:
    pass


UnaryBatch = Callable[[Sequence[Call]], None]
OpenStream = Callable[[Stream], StreamMachine]
Commit = Callable[[], None]


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    """`path` is `/package.Service/Method`."""

    path: str
    handle: UnaryBatch


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """`path` is `/package.Service/Method`; `open` makes the machine of one stream."""

    path: str
    open: OpenStream
    commit: Commit = _nothing
    """Called after the machines have heard all that came together (messages and ends), before what they answered is sent; must not raise."""


Method = UnaryMethod | StreamMethod


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a server. With `client_ca` only clients with a certificate of that authority are let in."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What a server listens on and the limits that it keeps."""

    address: str
    """`unix:/path` or `host:port`; port 0 takes any free one."""
    limits: Limits = field(default_factory=Limits)
    """grpcio keeps `max_message_bytes` and `max_streams`, and has its own ways for the rest."""
    services: tuple[str, ...] = ()
    """Names that `grpc.health.v1` answers SERVING for, beside the empty one."""
    tls: Tls | None = None


class Server(Protocol):
    """A gRPC server for the handlers that it was made with, and for `grpc.health.v1`."""

    address: str
    """Where it listens; after `start` with the real port in place of 0."""

    async def start(self) -> None:
        """Bind and accept; raise OSError when the address cannot be used."""

    async def drain(self, grace_s: float) -> None:
        """Accept nothing new, let what runs finish for at most `grace_s` seconds, then close."""


TransportName = Literal["wire", "grpcio"]


def new_server(methods: Sequence[Method], options: ListenOptions, transport: str = "wire") -> Server:
    """Make a server on the chosen transport; must be called on a running loop."""
    asyncio.get_running_loop()
    if transport == "wire":
        from ias.wire.server import WireServer

        return WireServer(methods, options)
    if transport == "grpcio":
        from ias.transport_grpcio import GrpcioServer

        return GrpcioServer(methods, options)
    raise ValueError(f"unknown transport '{transport}': use 'wire' or 'grpcio'")
