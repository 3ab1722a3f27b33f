"""What both halves of a connection share: the live streams, what they hold in memory, and how each of them ends."""

from ias.transport import Status
from ias.wire import frames
from ias.wire.errors import ErrorCode
from ias.wire.events import Event, StreamAborted, StreamRefused
from ias.wire.limits import Limits
from ias.wire.requests import Refusal
from ias.wire.sending import Sender
from ias.wire.status import http_head, trailers, trailers_only
from ias.wire.streams import State, Stream, Streams


class Exchange:
    """Ends streams, with the events that tell so."""

    __slots__ = ("events", "held", "limits", "sender", "streams")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams = Streams()
        self.sender = Sender()
        self.events: list[Event] = []
        self.held = 0
        """Bytes received on all streams and still in memory: incomplete messages and unanswered calls."""

    def hold(self, stream: Stream, size: int) -> None:
        """Take `size` received bytes more (or less) into account."""
        stream.held += size
        self.held += size

    def is_overfull(self) -> bool:
        """Whether the connection holds more than it may."""
        return self.held + self.sender.unsent_bytes > self.limits.max_held_bytes

    def conclude(self, stream: Stream, block: bytes) -> None:
        """Send the last header block. A peer that has not ended its side is asked to stop (RFC 9113 §8.1)."""
        self.sender.end(stream, block)
        if stream.remote_ended:
            self.close(stream, State.ENDED)
        else:
            self.sender.out.append(frames.reset(stream.id, ErrorCode.NO_ERROR))
            self.close(stream, State.RESET_BY_US)

    def close(self, stream: Stream, state: State) -> None:
        """Let go of a stream and all that it holds."""
        self.held -= stream.held
        stream.held = 0
        if stream.unsent is not None:
            self.sender.forget(stream)
        self.streams.close(stream.id, state)

    def announce(self, stream: Stream, event: Event) -> None:
        """Tell the handler of a stream."""
        stream.announced = True
        self.events.append(event)

    def abort(self, stream: Stream, reason: str) -> None:
        """Tell the handler, if it knows of the stream, that nobody waits for it."""
        if stream.announced:
            self.events.append(StreamAborted(stream.id, reason))

    def fail(self, stream: Stream, status: Status, reason: str) -> None:
        """End a stream with a status for what its peer did; what was not sent yet is not sent any more."""
        self.abort(stream, status.name.lower())
        self.events.append(StreamRefused(stream.id, status.name.lower()))
        self.conclude(stream, trailers(status, reason) if stream.begun else trailers_only(status, reason))

    def refuse(self, stream: Stream, refusal: Refusal) -> None:
        """Answer a request that is not carried out: a call with its status, anything else as HTTP with a text for people."""
        if refusal.http == 200:
            self.events.append(StreamRefused(stream.id, refusal.status.name.lower()))
            self.conclude(stream, trailers_only(refusal.status, refusal.reason))
            return
        self.events.append(StreamRefused(stream.id, f"http_{refusal.http}"))
        stream.begun = True
        self.sender.block(stream.id, http_head(refusal.http), 0)
        if self.sender.data(stream, refusal.reason.encode() + b"\n"):
            self.conclude(stream, b"")
        else:
            stream.final_block = b""

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a stream for an error of its peer, or refuse to open it."""
        self.sender.out.append(frames.reset(stream_id, code))
        stream = self.streams.live.get(stream_id)
        if stream is None:
            self.streams.close(stream_id, State.RESET_BY_US)
        else:
            self.abort(stream, code.name.lower())
            self.close(stream, State.RESET_BY_US)
        self.events.append(StreamRefused(stream_id, code.name.lower()))
