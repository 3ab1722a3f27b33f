"""An echo behind the sans-io connection of `ias/wire`, and what must hold after each step whatever the peer says."""

from collections import Counter
from dataclasses import dataclass, field

from hpack import Decoder

from ias.wire.connection import Connection
from ias.wire.events import (
    CallReceived,
    ConnectionClosing,
    Event,
    MessageReceived,
    StreamAborted,
    StreamEnded,
    StreamOpened,
    StreamRefused,
)
from ias.wire.limits import Limits
from ias.wire.streams import Shape
from tests.support.http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frames

UNARY, STREAM = "/test.Echo/Unary", "/test.Echo/Stream"
SHAPES = {UNARY: Shape.UNARY, STREAM: Shape.STREAM}
TIGHT = Limits(
    max_streams=8,
    max_header_bytes=1_000,
    max_message_bytes=4_000,
    max_held_bytes=20_000,
    max_unsent_bytes=8_000,
    stream_window_bytes=2_000,
    connection_window_bytes=65_535,
    max_resets_per_s=100,
    max_pings_per_s=100,
    max_settings_per_s=100,
    max_empty_frames_per_s=100,
    max_continuations=4,
)
"""Limits that random bytes reach."""
_SLACK = 100_000
"""Beside messages: frames that are not whole, header blocks, what the caches hold."""


@dataclass
class Echo:
    """Answers calls and messages with themselves; `check` is true to itself after each step."""

    limits: Limits = TIGHT
    answers: bool = True
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    """All that went to the peer."""

    def __post_init__(self) -> None:
        self.connection = Connection(self.limits, SHAPES, self.now)
        self.phases: dict[int, str] = {}
        self._decoder = Decoder()
        self._block: tuple[int, bytes] | None = None
        self._ended: Counter[int] = Counter()
        self._closed = False
        self._take()

    def receive(self, data: bytes) -> None:
        """The peer says something."""
        self._hear(self.connection.receive(data, self.now))
        self._take()

    def tick(self, seconds: float = 0.0) -> None:
        """Time passes."""
        self.now += seconds
        self._hear(self.connection.tick(self.now))
        self._take()

    def command(self, number: int) -> None:
        """Something that a server may do at any time."""
        connection = self.connection
        (connection.hold_messages, connection.release_messages, lambda: connection.drain(self.now))[number % 3]()
        self._take()

    # --- what the handler hears ---

    def _hear(self, events: list[Event]) -> None:
        while events:
            for event in events:
                self.events.append(event)
                self._check_order(event)
                if self.answers:
                    self._answer(event)
            events = self.connection.take_events()

    def _answer(self, event: Event) -> None:
        if isinstance(event, CallReceived):
            self.connection.respond(event.stream_id, event.message)
        elif isinstance(event, MessageReceived):
            self.connection.send(event.stream_id, [event.message])
        elif isinstance(event, StreamEnded):
            self.connection.finish(event.stream_id)

    def _check_order(self, event: Event) -> None:
        assert not self._closed, f"{event!r} after the end of the connection"
        if isinstance(event, ConnectionClosing):
            self._closed = True
            assert self.connection.is_finished
            return
        phase = self.phases.get(event.stream_id, "new")
        if isinstance(event, StreamRefused):
            return
        allowed: dict[type[Event], tuple[set[str], str]] = {
            CallReceived: ({"new"}, "called"),
            StreamOpened: ({"new"}, "open"),
            MessageReceived: ({"open"}, "open"),
            StreamEnded: ({"open"}, "ended"),
            StreamAborted: ({"called", "open", "ended"}, "aborted"),
        }
        before, after = allowed[type(event)]
        assert phase in before, f"{type(event).__name__} on stream {event.stream_id} that is {phase}"
        self.phases[event.stream_id] = after

    # --- what the peer hears ---

    def _take(self) -> None:
        data = self.connection.data_to_send()
        self.sent += data
        for kind, flags, stream_id, payload in frames(data):
            self._check_frame(kind, flags, stream_id, payload)
        connection = self.connection
        assert connection.live_streams <= self.limits.max_streams
        exchange = connection._exchange
        assert exchange.held + exchange.sender.unsent_bytes <= self.limits.max_held_bytes + _SLACK
        assert len(connection._rest) <= self.limits.max_frame_bytes + 9
        assert len(connection._receiver._block) <= connection._receiver._blocks.max_block_bytes + self.limits.max_frame_bytes
        if not connection.live_streams:
            assert exchange.held == exchange.sender.unsent_bytes == 0

    def _check_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        assert len(payload) <= max(self.limits.max_frame_bytes, 16_384)
        assert (self._block is not None) == (kind == CONTINUATION)
        if kind in (HEADERS, CONTINUATION):
            block = payload if self._block is None else self._block[1] + payload
            self._block = None if flags & END_HEADERS else (stream_id, block)
            if self._block is None:
                self._decoder.decode(block, raw=True)
        if kind in (HEADERS, DATA):
            assert not self._ended[stream_id], "sent behind the end of a stream"
        if (kind in (HEADERS, DATA) and flags & END_STREAM) or kind == RST_STREAM:
            self._ended[stream_id] += 1
        if kind == GOAWAY:
            assert len(payload) >= 8

    def answers_by_stream(self) -> dict[int, list[tuple[int, int, object]]]:
        """What each stream got: its DATA joined, header lists and resets as they came."""
        found: dict[int, list[tuple[int, int, object]]] = {}
        decoder = Decoder()
        for kind, flags, stream_id, payload in frames(bytes(self.sent)):
            got = found.setdefault(stream_id, [])
            if kind == HEADERS:
                got.append((kind, flags, decoder.decode(payload, raw=True)))
            elif kind == RST_STREAM:
                got.append((kind, flags, payload))
            elif kind == DATA and got[-1][0] == DATA:
                got[-1] = (kind, flags, got[-1][2] + payload)  # type: ignore[operator]
            elif kind == DATA:
                got.append((kind, flags, payload))
        return {stream: answer for stream, answer in found.items() if answer}
