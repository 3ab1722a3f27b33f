"""Windows of what we receive: bounded, and opened again as messages are taken (RFC 9113 §5.2, §6.9)."""

from ias.wire import frames
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault
from ias.wire.exchange import Exchange
from ias.wire.streams import Shape, Stream


class Windows:
    """A peer gets new room when half of a window is used; on a stream only if it reads what it is sent."""

    __slots__ = ("_debt", "_exchange", "_sender", "_window", "stream_window")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sender = exchange.sender
        self._window = exchange.limits.connection_window_bytes
        self._debt = 0
        """Bytes received on all streams for which the peer has not got new room yet."""
        self.stream_window = max(exchange.limits.stream_window_bytes, frames.DEFAULT_WINDOW)
        """What a peer may send on a stream; the smaller one counts once it has acknowledged it."""

    def acknowledged(self) -> None:
        """The peer knows our window of a stream."""
        self.stream_window = self._exchange.limits.stream_window_bytes

    def count(self, size: int) -> None:
        """Take bytes on the connection into account; raise ConnectionFault when they are more than the window."""
        self._debt += size
        if self._debt * 2 >= self._window:
            if self._debt > self._window:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
            self._sender.out.append(frames.window_update(0, self._debt))
            self._debt = 0

    def count_on(self, stream: Stream, size: int) -> None:
        """Take bytes on a stream into account; raise StreamFault when they are more than the window."""
        stream.debt += size
        if stream.debt * 2 >= self.stream_window:
            if stream.debt > self.stream_window:
                raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")
            self._make_room(stream)

    def widen(self, stream: Stream, increment: int) -> None:
        """The peer reads more of a stream."""
        self._sender.widen(stream, increment)
        self.send_more()

    def widen_connection(self, increment: int) -> None:
        """The peer reads more of all streams."""
        self._sender.widen_connection(increment)
        self.send_more()

    def widen_all(self, size: int) -> None:
        """The peer gives each stream another window from the beginning; raise ConnectionFault when one becomes too large."""
        change = size - self._sender.initial_window
        self._sender.initial_window = size
        try:
            for stream in self._exchange.streams.live.values():
                self._sender.widen(stream, change)
        except StreamFault as fault:
            raise ConnectionFault(fault.code, fault.reason) from None
        self.send_more()

    def send_more(self) -> None:
        """Send what can be sent now. Of streams of which nothing waits any longer, end those that were to end, and let others receive."""
        for stream in self._sender.pump():
            if stream.final_block is not None:
                self._exchange.conclude(stream, stream.final_block)
            elif stream.debt * 2 >= self.stream_window:
                self._make_room(stream)

    def _make_room(self, stream: Stream) -> None:
        if stream.shape is not Shape.NOTHING and not stream.remote_ended and stream.unsent_bytes < self.stream_window:
            self._sender.out.append(frames.window_update(stream.id, stream.debt))
            stream.debt = 0
