"""A gRPC client that costs next to nothing: prebuilt HTTP/2 frames out, frame headers read back.

It is the same for every server, so what it costs falls out of a ratio. It says what Envoy says to a server whose header table has
size 0: each header block self-contained, Huffman-coded, the same in every call but for a `traceparent` when calls are traced.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hpack import Encoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_WINDOW = (1 << 31) - 1
MAX_FRAME = 16_384
CANCEL = 8
_DEFAULT_WINDOW = 65_535
_REPLENISH = 1 << 29
_HUFFMAN = {chr(c): format(REQUEST_CODES[c], "b").zfill(REQUEST_CODES_LENGTH[c]) for c in range(128)}


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def header_block(path: str, timeout: str) -> bytes:
    """The headers that Envoy sends with `Check`, or with `Process`, which has no time limit (a table of size 0: each block stands for itself)."""
    fields = [
        (":method", "POST"),
        (":path", path),
        (":authority", "extauth"),
        (":scheme", "http"),
        ("te", "trailers"),
        *([("grpc-timeout", timeout)] if timeout else []),
        ("content-type", "application/grpc"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "10.1.2.3"),
        *([("x-envoy-expected-rq-timeout-ms", "2000")] if timeout else []),
    ]
    encoder = Encoder()
    encoder.header_table_size = 0
    encoder.encode(fields)  # the first block begins with the change of the table's size
    return encoder.encode(fields)


def _traceparent() -> bytes:
    text = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"
    bits = "".join(map(_HUFFMAN.__getitem__, text))
    bits += "1" * (-len(bits) % 8)
    value = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return b"\x00\x0btraceparent" + bytes((0x80 | len(value),)) + value + b"\x00\x0atracestate\x00"


@dataclass(slots=True)
class Exchange:
    """One call. `messages` are sent one after the other, each when the one before it has come back."""

    stream_id: int
    left: int
    began: float
    window: int
    got: int = 0


@dataclass
class Work:
    """What to do. Unary calls end their side with their only message, streams after the last reply."""

    path: str
    message: bytes
    unary: bool = True
    messages: int = 1
    traced: bool = False
    timeout: str = ""
    """`grpc-timeout`, as `2000m`; empty: none."""


@dataclass
class Client(asyncio.Protocol):
    """One connection; `done` hears of each call that has ended and may begin others."""

    work: Work
    done: Callable[["Client", Exchange], None]
    errors: list[str] = field(default_factory=list)
    lost: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def __post_init__(self) -> None:
        self._buffer = b""
        self._out: list[bytes] = []
        self._waiting: deque[tuple[Exchange, bytes, bool]] = deque()
        self._window = self._stream_window = _DEFAULT_WINDOW
        self._taken = 0
        self._next_id = 1
        self.exchanges: dict[int, Exchange] = {}
        self.prepare(self.work)

    def prepare(self, work: Work) -> None:
        """Change what is sent from now on."""
        self.work = work
        self._block = header_block(work.path, work.timeout)
        self._data = b"\0" + len(work.message).to_bytes(4, "big") + work.message

    def begin(self) -> None:
        """Start one call; it is sent with the next `flush`."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        exchange = Exchange(stream_id, self.work.messages, time.perf_counter(), self._stream_window)
        self.exchanges[stream_id] = exchange
        block = self._block + _traceparent() if self.work.traced else self._block
        self._out.append(frame(HEADERS, END_HEADERS, stream_id, block))
        self._send(exchange, self._data, self.work.unary)

    def cancel(self, exchange: Exchange) -> None:
        del self.exchanges[exchange.stream_id]
        self._out.append(frame(RST_STREAM, 0, exchange.stream_id, CANCEL.to_bytes(4, "big")))

    def flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def close(self) -> None:
        self._transport.close()

    # --- sending ---

    def _send(self, exchange: Exchange, data: bytes, end: bool) -> None:
        """Send in frames of at most MAX_FRAME as far as the windows allow; the rest waits."""
        while data:
            size = min(len(data), MAX_FRAME, self._window, exchange.window)
            if size <= 0:
                self._waiting.append((exchange, data, end))
                return
            part, data = data[:size], data[size:]
            self._window -= size
            exchange.window -= size
            self._out.append(frame(DATA, END_STREAM if end and not data else 0, exchange.stream_id, part))

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for exchange, data, end in waiting:
            if exchange.stream_id in self.exchanges:
                self._send(exchange, data, end)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        settings = INITIAL_WINDOW_SIZE.to_bytes(2, "big") + LARGEST_WINDOW.to_bytes(4, "big")
        larger = (LARGEST_WINDOW - _DEFAULT_WINDOW).to_bytes(4, "big")
        self._transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, larger))

    def connection_lost(self, error: Exception | None) -> None:
        if self.exchanges:
            self.errors.append(f"connection lost with {len(self.exchanges)} calls under way: {error}")
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if end - at - 9 < size:
                break
            stream_id = int.from_bytes(buffer[at + 5 : at + 9], "big")
            self._frame(buffer[at + 3], buffer[at + 4], stream_id, buffer[at + 9 : at + 9 + size])
            at += 9 + size
        self._buffer = buffer[at:]
        if self._taken > _REPLENISH:
            self._out.append(frame(WINDOW_UPDATE, 0, 0, self._taken.to_bytes(4, "big")))
            self._taken = 0
        self.flush()

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == DATA:
            self._taken += len(payload)
            if (exchange := self.exchanges.get(stream_id)) is not None:
                self._reply(exchange, payload)
        elif kind == HEADERS:
            if flags & END_STREAM and (exchange := self.exchanges.pop(stream_id, None)) is not None:
                if exchange.left:
                    self.errors.append(f"a call ended with {exchange.left} replies missing")
                self.done(self, exchange)
        elif kind == WINDOW_UPDATE:
            self._more_window(stream_id, int.from_bytes(payload, "big"))
        else:
            self._rare_frame(kind, flags & ACK, stream_id, payload)

    def _rare_frame(self, kind: int, ack: int, stream_id: int, payload: bytes) -> None:
        if kind == SETTINGS and not ack:
            self._settings(payload)
        elif kind == PING and not ack:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM:
            if self.exchanges.pop(stream_id, None) is not None:
                self.errors.append(f"reset with code {int.from_bytes(payload, 'big')}")
        elif kind == GOAWAY:
            self.errors.append(f"goaway with code {int.from_bytes(payload[4:8], 'big')} {payload[8:]!r}")

    def _reply(self, exchange: Exchange, payload: bytes) -> None:
        exchange.got += len(payload)
        if exchange.got < len(self._data):
            return
        if exchange.got > len(self._data) or not self._data.endswith(payload):
            self.errors.append("the echo is not what was sent")
        exchange.got = 0
        exchange.left -= 1
        if exchange.left:
            self._send(exchange, self._data, False)
        elif not self.work.unary:
            self._out.append(frame(DATA, END_STREAM, exchange.stream_id))

    def _more_window(self, stream_id: int, more: int) -> None:
        if not stream_id:
            self._window += more
        elif stream_id in self.exchanges:
            self.exchanges[stream_id].window += more
        if self._waiting:
            self._send_waiting()

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                size = int.from_bytes(payload[at + 2 : at + 6], "big")
                for exchange in self.exchanges.values():
                    exchange.window += size - self._stream_window
                self._stream_window = size
        self._out.append(frame(SETTINGS, ACK, 0))
        if self._waiting:
            self._send_waiting()


class AnyAnswer(Client):
    """Takes any answer to a unary call. A call that ends without a message was refused."""

    bytes_taken = 0

    def _reply(self, exchange: Exchange, payload: bytes) -> None:
        exchange.left = 0
        self.bytes_taken += len(payload)


_Client = TypeVar("_Client", bound=Client)


async def connect(address: str, work: Work, done: Callable[[Client, Exchange], None], kind: type[_Client] = Client) -> _Client:  # type: ignore[assignment]
    """Open a connection to `unix:/path` or `host:port`; the client may be of a kind of its own."""
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        _, client = await loop.create_unix_connection(lambda: kind(work, done), address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        _, client = await loop.create_connection(lambda: kind(work, done), host, int(port))
    return client
