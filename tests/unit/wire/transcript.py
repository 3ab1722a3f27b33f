"""A connection and its peer without a socket: what the peer says, what the server is told, and what the peer hears, as plain tuples."""

from hpack import Decoder

from ias.wire.connection import Connection
from ias.wire.events import CallReceived, ConnectionClosing, Event, MessageReceived, StreamAborted, StreamEnded, StreamOpened, StreamRefused
from ias.wire.limits import Limits
from ias.wire.streams import Shape
from tests.support import http2
from tests.support.http2 import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, block, frame, framed, frames, request_fields, settings

UNARY, STREAM = "/test.Echo/Unary", "/test.Echo/Stream"
SHAPES = {UNARY: Shape.UNARY, STREAM: Shape.STREAM}
GREETING = PREFACE + settings() + frame(SETTINGS, ACK, 0)
Told = tuple[object, ...]
Heard = tuple[object, ...]


def call(stream_id: int, message: bytes = b"ping", path: str = UNARY, *more: tuple[str, str]) -> bytes:
    """A whole unary call."""
    return opened(stream_id, path, *more) + frame(DATA, END_STREAM, stream_id, framed(message))


def opened(stream_id: int, path: str = STREAM, *more: tuple[str, str]) -> bytes:
    """The headers of a call or stream."""
    return headers(stream_id, [*request_fields(path), *more])


def headers(stream_id: int, fields: list[tuple[str, str]], flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream_id, block(fields))


def message(stream_id: int, text: bytes, flags: int = 0) -> bytes:
    return frame(DATA, flags, stream_id, framed(text))


class Peer:
    """Speaks to a connection; `now` is its clock."""

    def __init__(self, *, greets: bool = True, **limits: float) -> None:
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        self.now = 0.0
        self.connection = Connection(self.limits, SHAPES, self.now)
        self._decoder = Decoder()
        if greets:
            self.says(GREETING)
            self.hears()

    def says(self, *data: bytes) -> list[Told]:
        """Send frames; what the server is told."""
        return [told(event) for event in self.connection.receive(b"".join(data), self.now)]

    def waits(self, seconds: float) -> list[Told]:
        """Let time pass."""
        self.now += seconds
        return [told(event) for event in self.connection.tick(self.now)]

    def is_told(self) -> list[Told]:
        """What commands caused."""
        return [told(event) for event in self.connection.take_events()]

    def hears(self) -> list[Heard]:
        """What has come from the server since the last time."""
        return [self._read(*each) for each in frames(self.connection.data_to_send())]

    def _read(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Heard:
        number = int.from_bytes(payload[-4:])
        match kind:
            case http2.HEADERS:
                fields = (f"{name}: {value}" for name, value in self._decoder.decode(payload))
                heard: Heard = ("END" if flags & END_STREAM else "HEADERS", stream_id, *fields)
            case http2.DATA:
                heard = ("DATA", stream_id, payload)
            case http2.GOAWAY:
                heard = ("GOAWAY", int.from_bytes(payload[:4]), int.from_bytes(payload[4:8]), payload[8:].decode())
            case http2.RST_STREAM:
                heard = ("RESET", stream_id, number)
            case http2.WINDOW_UPDATE:
                heard = ("ROOM", stream_id, number)
            case http2.PING:
                heard = ("PONG" if flags & ACK else "PING", payload)
            case http2.SETTINGS:
                heard = ("SETTINGS ACK",) if flags & ACK else ("SETTINGS", payload)
            case _:
                heard = ("FRAME", kind, payload)
        return heard


WORDS: dict[type[Event], tuple[str, ...]] = {
    CallReceived: ("call", "stream_id", "message"),
    StreamOpened: ("opened", "stream_id"),
    MessageReceived: ("message", "stream_id", "message"),
    StreamEnded: ("ended", "stream_id"),
    StreamAborted: ("aborted", "stream_id", "reason"),
    StreamRefused: ("refused", "stream_id", "kind"),
}


def told(event: Event) -> Told:
    """An event in the words of a transcript."""
    if isinstance(event, ConnectionClosing):
        return ("closing", event.code.name, event.reason)
    word, *names = WORDS[type(event)]
    return (word, *(getattr(event, name) for name in names))


def answer(stream_id: int, *messages: bytes) -> list[Heard]:
    """What a peer hears of a call that went well."""
    head = ("HEADERS", stream_id, ":status: 200", "content-type: application/grpc")
    return [head, *(("DATA", stream_id, framed(each)) for each in messages), ("END", stream_id, "grpc-status: 0")]


def failure(stream_id: int, status: int, reason: str, *more: str) -> Heard:
    """What a peer hears of a call that failed before it had an answer."""
    return ("END", stream_id, ":status: 200", "content-type: application/grpc", f"grpc-status: {status}", f"grpc-message: {reason}", *more)
