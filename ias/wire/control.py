"""Frames about the connection and its streams that carry no part of a request (RFC 9113 §6.3 to §6.9)."""

from collections.abc import Callable

from ias.wire import frames
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault, name_of, protocol_error
from ias.wire.exchange import Exchange
from ias.wire.rates import Rate
from ias.wire.streams import State
from ias.wire.windows import Windows

_PING_BYTES = 8
_GOAWAY_BYTES = 8
PRIORITY_BYTES = 5


class Control:
    """Takes them one by one. `acknowledged` is called when the peer has acknowledged our SETTINGS."""

    def __init__(self, exchange: Exchange, windows: Windows, acknowledged: Callable[[], None]) -> None:
        limits = exchange.limits
        self._exchange = exchange
        self._windows = windows
        self._acknowledged = acknowledged
        self._sender = exchange.sender
        self._streams = exchange.streams
        self.now = 0.0
        self.answered_pings: set[bytes] = set()
        """Acknowledged since somebody cleared this."""
        self._resets = Rate(limits.max_resets_per_s)
        self._pings = Rate(limits.max_pings_per_s)
        self._settings = Rate(limits.max_settings_per_s)
        self._empty = Rate(limits.max_empty_frames_per_s)

    def take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take any frame but HEADERS, CONTINUATION and DATA. Raises ConnectionFault or StreamFault."""
        if kind == frames.WINDOW_UPDATE:
            self._window_update(stream_id, payload)
        elif kind == frames.RST_STREAM:
            self._rst_stream(stream_id, payload)
        elif kind == frames.PING:
            self._ping(flags, stream_id, payload)
        elif kind == frames.SETTINGS:
            self._settings_frame(flags, stream_id, payload)
        elif kind == frames.GOAWAY:
            _go_away(stream_id, payload)
        elif kind == frames.PUSH_PROMISE:
            raise protocol_error("PUSH_PROMISE from a client")
        else:
            self.count_empty()
            if kind == frames.PRIORITY:
                self._priority(stream_id, payload)

    def count_reset(self) -> None:
        """A stream was reset, by the peer or because of it; raise ConnectionFault when that happens too often."""
        check(self._resets.exceeded(self.now), "too many resets")

    def count_empty(self) -> None:
        """A frame brought nothing; raise ConnectionFault when that happens too often."""
        check(self._empty.exceeded(self.now), "too many frames that bring nothing")

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        increment = frames.read_u32(payload, "WINDOW_UPDATE") & frames.MAX_WINDOW
        if stream_id == 0:
            if not increment:
                raise protocol_error("WINDOW_UPDATE of 0")
            self._windows.widen_connection(increment)
        elif self._streams.takes(frames.WINDOW_UPDATE, stream_id):
            if not increment:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self._windows.widen(self._streams.live[stream_id], increment)

    def _rst_stream(self, stream_id: int, payload: bytes) -> None:
        code = frames.read_u32(payload, "RST_STREAM")
        if stream_id == 0:
            raise protocol_error("RST_STREAM on stream 0")
        self.count_reset()
        if self._streams.takes(frames.RST_STREAM, stream_id):
            stream = self._streams.live[stream_id]
            self._exchange.abort(stream, name_of(code))
            self._exchange.close(stream, State.RESET_BY_PEER)

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise protocol_error("PING on a stream")
        if len(payload) != _PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a broken length")
        check(self._pings.exceeded(self.now), "too many PING frames")
        if flags & frames.ACK:
            self.answered_pings.add(payload)
        else:
            self._sender.out.append(frames.ping(payload, frames.ACK))

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise protocol_error("SETTINGS on a stream")
        check(self._settings.exceeded(self.now), "too many SETTINGS frames")
        if not flags & frames.ACK:
            # Of a value that comes twice in one frame the last one counts: each change of windows costs a step for each stream.
            values = {name: self._checked(name, value) for name, value in frames.read_settings(payload)}
            # First the acknowledgement: the peer may count what follows by the values before until it has that.
            self._sender.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
            for name, value in values.items():
                self._setting(name, value)
        elif payload:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
        else:
            self._windows.acknowledged()
            self._acknowledged()

    @staticmethod
    def _checked(name: int, value: int) -> int:
        if name == frames.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "initial window above 2^31-1")
        if name == frames.MAX_FRAME_SIZE and not frames.DEFAULT_FRAME <= value < 1 << 24:
            raise protocol_error("MAX_FRAME_SIZE out of its range")
        if name == frames.ENABLE_PUSH and value > 1:
            raise protocol_error("ENABLE_PUSH that is neither 0 nor 1")
        return value

    def _setting(self, name: int, value: int) -> None:
        if name == frames.INITIAL_WINDOW_SIZE:
            self._windows.widen_all(value)
        elif name == frames.MAX_FRAME_SIZE:
            self._sender.max_frame = min(value, self._exchange.limits.max_frame_bytes)

    def _priority(self, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise protocol_error("PRIORITY on stream 0")
        if len(payload) != PRIORITY_BYTES:
            fault: type[ConnectionFault | StreamFault] = StreamFault if stream_id in self._streams.live else ConnectionFault
            raise fault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a broken length")
        if dependency(payload) == stream_id:
            raise protocol_error("a stream that depends on itself")


def dependency(payload: bytes) -> int:
    """The stream that another depends on, in PRIORITY or HEADERS; it has no other meaning any more."""
    return int.from_bytes(payload[:4]) & frames.STREAM_MASK


def check(is_too_much: bool, what: str) -> None:
    """Raise ConnectionFault if somebody overdoes it."""
    if is_too_much:
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, what)


def _go_away(stream_id: int, payload: bytes) -> None:
    if stream_id:
        raise protocol_error("GOAWAY on a stream")
    if len(payload) < _GOAWAY_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a broken length")
    # It concerns streams that we would open. The peer closes when it has its answers.
