"""The transport port: how gRPC calls of Envoy reach a handler. Handlers know no gRPC library (design §8).

Two handler shapes, both synchronous and bytes in, bytes out:

* a unary batch gets all calls that one turn of the loop brought, and answers each at once or later;
* a stream machine gets one message at a time and returns the messages to send.

The loop is never blocked: what must wait is started as a task, and `Call.reply` or `Stream.send` is called when it is done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol


class Status(IntEnum):
    """The gRPC status codes in use (https://grpc.io/docs/guides/status-codes/)."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class Call(Protocol):
    """One unary call. Exactly one of `reply` and `fail` is called, once; calls after the peer has gone are ignored."""

    @property
    def message(self) -> bytes:
        """The request message."""

    def reply(self, message: bytes) -> None:
        """Answer with a message and status OK."""

    def fail(self, status: Status, reason: str) -> None:
        """End without a message; `reason` reaches the peer, so it holds no secret."""


class Stream(Protocol):
    """The sending side of one bidirectional stream; calls after the end are ignored."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages that no incoming message waits for."""

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


UnaryBatch = Callable[[Sequence[Call]], None]
OpenStream = Callable[[Stream], StreamMachine]


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


Method = UnaryMethod | StreamMethod


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What a server listens on and the limits that it keeps."""

    address: str
    """`unix:/path` or `host:port`; port 0 takes any free one."""
    max_message_bytes: int = 16 * 1024 * 1024
    """Larger messages are refused; above the largest body that Envoy buffers."""
    max_streams: int = 10_000
    """Streams at once on one connection; Envoy holds one for each live request."""
    services: tuple[str, ...] = field(default=())
    """Names that `grpc.health.v1` answers SERVING for, beside the empty one."""


class Server(Protocol):
    """A gRPC server for the handlers that it was made with, and for `grpc.health.v1`."""

    address: str
    """Where it listens; after `start` with the real port in place of 0."""

    async def start(self) -> None:
        """Bind and accept; raise OSError when the address cannot be used."""

    async def drain(self, grace_s: float) -> None:
        """Accept nothing new, let what runs finish for at most `grace_s` seconds, then close."""


def new_server(methods: Sequence[Method], options: ListenOptions, transport: str = "grpcio") -> Server:
    """Make a server on the chosen transport; must be called on a running loop."""
    asyncio.get_running_loop()
    if transport == "grpcio":
        from ias.transport_grpcio import GrpcioServer

        return GrpcioServer(methods, options)
    raise ValueError(f"unknown transport '{transport}': use 'grpcio'")
