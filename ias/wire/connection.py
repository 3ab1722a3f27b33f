"""One HTTP/2 connection of a gRPC server: bytes in, events out; commands in, bytes out. No socket, clock, task or log.

Nothing here raises for what a peer sends: a violation becomes RST_STREAM or GOAWAY in the output and an event beside it. Commands
for a stream that is over are ignored, since a peer may leave at any time.
"""

from collections.abc import Mapping, Sequence

from ias.transport import Status
from ias.wire import frames
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault, protocol_error
from ias.wire.events import ConnectionClosing, Event
from ias.wire.exchange import Exchange
from ias.wire.limits import Limits
from ias.wire.messages import PREFIX_BYTES
from ias.wire.receiving import Receiver
from ias.wire.status import TRAILERS_OK, trailers, trailers_only
from ias.wire.streams import Shape, State

_UNREAD = (Status.RESOURCE_EXHAUSTED, "too much waits for its reader")
_DRAIN_PING = b"draining"
_LIVENESS_PING = b"you here"


class Connection:
    """The server's side of a connection whose peer may call `methods` (path to shape). `now` is any steady clock in seconds."""

    def __init__(self, limits: Limits, methods: Mapping[str, Shape], now: float = 0.0) -> None:
        self._limits = limits
        self._exchange = Exchange(limits)
        self._receiver = Receiver(self._exchange, methods)
        self._control = self._receiver.control
        self._sender = self._exchange.sender
        self._live = self._exchange.streams.live
        self._rest = b""
        self._preface_done = False
        self._is_over = False
        self._opened_at = self._heard_at = now
        self._idle_since: float | None = None
        self._asked_at: float | None = None
        self._drain_began: float | None = None
        self._is_drained = False
        self._sender.out += (
            frames.settings(
                (
                    (frames.HEADER_TABLE_SIZE, 0),
                    (frames.MAX_CONCURRENT_STREAMS, limits.max_streams),
                    (frames.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
                    (frames.MAX_FRAME_SIZE, limits.max_frame_bytes),
                    (frames.MAX_HEADER_LIST_SIZE, limits.max_header_bytes),
                )
            ),
        )
        if more := limits.connection_window_bytes - frames.DEFAULT_WINDOW:
            self._sender.out.append(frames.window_update(0, more))

    # --- bytes ---

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what the peer sent and return what it means, in its order. Never raises."""
        if self._is_over:
            return []
        self._heard_at = self._control.now = now
        self._asked_at = None
        try:
            self._read(self._rest + data if self._rest else data)
            if self._drain_began is not None and _DRAIN_PING in self._control.answered_pings:
                self._finish_drain()
        except ConnectionFault as fault:
            self._fail(fault.code, fault.reason)
        return self.take_events()

    def data_to_send(self) -> bytes:
        """What the peer is to get now; it is handed out once."""
        out = self._sender.out
        if not out:
            return b""
        self._sender.out = []
        return b"".join(out)

    def take_events(self) -> list[Event]:
        """Events that commands and time caused since the last call of `receive`, `tick` or this."""
        events = self._exchange.events
        self._exchange.events = []
        return events

    # --- commands ---

    def respond(self, stream_id: int, message: bytes) -> None:
        """Answer a unary call with its one message and status OK."""
        stream = self._live.get(stream_id)
        if stream is not None and stream.final_block is None:
            if self._sender.message(stream, message):
                self._exchange.conclude(stream, TRAILERS_OK)
            elif self._exchange.is_overfull():
                self._exchange.fail(stream, *_UNREAD)
            else:
                stream.final_block = TRAILERS_OK

    def send(self, stream_id: int, messages: Sequence[bytes]) -> None:
        """Send messages on a stream. One whose peer does not read is ended with RESOURCE_EXHAUSTED above the limit."""
        stream = self._live.get(stream_id)
        if stream is None or stream.final_block is not None:
            return
        for message in messages:
            if not self._sender.message(stream, message) and (stream.unsent_bytes > self._limits.max_unsent_bytes or self._exchange.is_overfull()):
                self._exchange.fail(stream, *_UNREAD)
                return

    def finish(self, stream_id: int, status: Status = Status.OK, reason: str = "") -> None:
        """End a call or a stream with a status, after what was sent before."""
        stream = self._live.get(stream_id)
        if stream is None or stream.final_block is not None:
            return
        block = trailers(status, reason) if stream.begun else trailers_only(status, reason)
        if stream.unsent is None:
            self._exchange.conclude(stream, block)
        else:
            stream.final_block = block

    def drain(self, now: float) -> None:
        """Ask the peer for no more streams; those that it sends before it has heard are still served (RFC 9113 §6.8)."""
        if self._drain_began is None and not self._is_over:
            self._drain_began = now
            self._sender.out.append(frames.go_away(frames.STREAM_MASK, ErrorCode.NO_ERROR))
            self._sender.out.append(frames.ping(_DRAIN_PING))

    def close(self, status: Status, reason: str) -> None:
        """End every stream with a status, and then the connection."""
        if self._is_over:
            return
        for stream in list(self._live.values()):
            self._exchange.fail(stream, status, reason)
        self._fail(ErrorCode.NO_ERROR, reason)

    def lost(self) -> list[Event]:
        """The peer is gone without a word: return what that ends."""
        if not self._is_over:
            self._abort_all("lost")
            self._is_over = True
        return self.take_events()

    def hold_messages(self) -> None:
        """The socket takes no more: let messages wait with their streams, where they count as unsent."""
        self._sender.is_held = True

    def release_messages(self) -> None:
        """The socket takes bytes again."""
        self._sender.is_held = False
        self._receiver.windows.send_more()

    # --- time ---

    def tick(self, now: float) -> list[Event]:
        """Do what time asks for: deadlines, and peers that say nothing. To be called some times in a second."""
        if self._is_over:
            return []
        for stream in [stream for stream in self._live.values() if stream.deadline is not None and stream.deadline <= now]:
            self._exchange.fail(stream, Status.DEADLINE_EXCEEDED, "the deadline has passed")
        limits = self._limits
        if self._live:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= limits.idle_s:
            self.drain(now)
        if self._receiver.is_new and now - self._opened_at >= limits.handshake_s:
            self._fail(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS came")
        elif self._asked_at is not None and now - self._asked_at >= limits.ping_timeout_s:
            self._fail(ErrorCode.NO_ERROR, "the peer is silent")
        elif self._asked_at is None and now - self._heard_at >= limits.ping_after_s:
            self._asked_at = now
            self._sender.out.append(frames.ping(_LIVENESS_PING))
        if self._drain_began is not None and now - self._drain_began >= limits.ping_timeout_s:
            self._finish_drain()
        return self.take_events()

    @property
    def is_finished(self) -> bool:
        """Nothing more will come of this connection: send what is left and close it."""
        return self._is_over or (self._is_drained and not self._live)

    @property
    def live_streams(self) -> int:
        """Calls and streams that are not over."""
        return len(self._live)

    def _finish_drain(self) -> None:
        """The peer has heard of the drain. What it sent before has arrived: name the last stream that is served."""
        if not self._is_drained:
            self._is_drained = True
            self._receiver.highest_id = self._exchange.streams.last_id
            self._sender.out.append(frames.go_away(self._receiver.highest_id, ErrorCode.NO_ERROR))

    def _fail(self, code: ErrorCode, reason: str) -> None:
        """End the connection: every stream is lost."""
        self._abort_all(code.name.lower())
        self._sender.out.append(frames.go_away(self._exchange.streams.last_id, code, reason.encode()))
        self._exchange.events.append(ConnectionClosing(code, reason))
        self._is_over = True
        self._rest = b""

    def _abort_all(self, reason: str) -> None:
        for stream in list(self._live.values()):
            self._exchange.abort(stream, reason)
            self._exchange.close(stream, State.RESET_BY_US)

    # --- frames ---

    def _read(self, data: bytes) -> None:
        """Take all whole frames of `data` and keep the rest; raise ConnectionFault."""
        position, end = 0, len(data)
        if not self._preface_done:
            if not data.startswith(frames.PREFACE):
                self._rest = _beginning_of_preface(data)
                return
            self._preface_done = True
            position = len(frames.PREFACE)
        receiver = self._receiver
        unpack, max_frame = frames.HEADER.unpack_from, self._limits.max_frame_bytes
        while end - position >= frames.HEADER_BYTES:
            length_and_kind, flags, stream_id = unpack(data, position)
            length, kind = length_and_kind >> 8, length_and_kind & 0xFF
            if length > max_frame:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame larger than announced")
            start = position + frames.HEADER_BYTES
            after = start + length
            if after > end:
                break
            try:
                # The two common shapes first: the general way would do the same in more steps.
                if kind == frames.HEADERS and flags == frames.END_HEADERS and (call_end := receiver.take_call(data, start, length, stream_id)):
                    position = call_end
                    continue
                if kind != frames.DATA or length < PREFIX_BYTES or not receiver.take_message(data, start, length, flags, stream_id):
                    receiver.frame(kind, flags, stream_id & frames.STREAM_MASK, data[start:after])
            except StreamFault as fault:
                self._control.count_reset()
                self._exchange.reset(stream_id & frames.STREAM_MASK, fault.code)
            position = after
        self._rest = data[position:] if position else data


def _beginning_of_preface(data: bytes) -> bytes:
    if not frames.PREFACE.startswith(data):
        raise protocol_error("this is not HTTP/2")
    return data
