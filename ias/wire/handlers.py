"""Between events and handlers: the `Call` and `Stream` that a handler gets, and its machine's one end."""

from collections.abc import Callable, Iterable, Sequence

from ias import logs
from ias.transport import Commit, Metadata, OpenStream, Status, StreamMachine, UnaryBatch, custom_metadata
from ias.wire.connection import Connection
from ias.wire.counts import Counts
from ias.wire.events import CallReceived, Fields, StreamOpened

log = logs.get(__name__)
_INTERNAL = (Status.INTERNAL, "internal error")


class Outlet:
    """The commands of one connection. `wake` has what they make sent, at once or with what else the loop does now."""

    __slots__ = ("connection", "counts", "streams", "wake")

    def __init__(self, connection: Connection, counts: Counts, wake: Callable[[], None]) -> None:
        self.connection = connection
        self.counts = counts
        self.wake = wake
        self.streams: dict[int, WireStream] = {}
        """Those whose machine is still to hear something."""


class WireCall:
    """A unary call; the connection ignores answers but the first, and those to a peer that has gone."""

    __slots__ = ("_event", "_outlet", "message")

    def __init__(self, event: CallReceived, outlet: Outlet) -> None:
        self.message = event.message
        self._event = event
        self._outlet = outlet

    @property
    def stream_id(self) -> int:
        """Its stream on the connection."""
        return self._event.stream_id

    @property
    def deadline(self) -> float | None:
        return self._event.deadline

    @property
    def metadata(self) -> Metadata:
        return _metadata(self._event.fields)

    def reply(self, message: bytes) -> None:
        outlet = self._outlet
        outlet.counts.messages_sent += 1
        outlet.connection.respond(self._event.stream_id, message)
        outlet.wake()

    def fail(self, status: Status, reason: str) -> None:
        self._outlet.connection.finish(self._event.stream_id, status, reason)
        self._outlet.wake()


def handle_batch(handle: UnaryBatch, calls: Sequence[WireCall]) -> None:
    """Give calls to their handler; those that it does not answer because it fails are INTERNAL."""
    try:
        handle(calls)
    except Exception:
        log.exception("unary handler failed")
        for call in calls:
            call.fail(*_INTERNAL)


def commit_all(commits: Iterable[Commit]) -> None:
    """Have handlers write down what all messages of one read led to."""
    for commit in commits:
        try:
            commit()
        except Exception:
            log.exception("stream handler failed to commit")


class WireStream:
    """A bidirectional stream and its machine. Whatever happens first, the machine hears of one end."""

    __slots__ = ("_ended", "_event", "_feeding", "_final", "_machine", "_outlet", "_told")
    _machine: StreamMachine

    def __init__(self, event: StreamOpened, outlet: Outlet) -> None:
        self._event = event
        self._outlet = outlet
        self._told = False
        """The machine hears nothing any more."""
        self._ended = False
        """Nothing is sent any more."""
        self._feeding = False
        self._final: tuple[Status, str] | None = None
        """How the stream ends once the machine has returned its last messages."""

    @property
    def deadline(self) -> float | None:
        return self._event.deadline

    @property
    def metadata(self) -> Metadata:
        return _metadata(self._event.fields)

    def open(self, open_stream: OpenStream) -> None:
        """Make the machine."""
        self._outlet.streams[self._event.stream_id] = self
        try:
            self._machine = open_stream(self)
        except Exception:
            log.exception("stream handler failed to open")
            self._told = True
            self.end(*_INTERNAL)

    # --- for the machine ---

    def send(self, messages: Sequence[bytes]) -> None:
        if not self._ended:
            self._send(messages)
            self._outlet.wake()

    def end(self, status: Status = Status.OK, reason: str = "") -> None:
        self._told = True
        if self._ended:
            return
        self._ended = True
        self._outlet.streams.pop(self._event.stream_id, None)
        if self._feeding:  # what the machine returns is still sent before the end
            self._final = (status, reason)
        else:
            self._outlet.connection.finish(self._event.stream_id, status, reason)
            self._outlet.wake()

    # --- for the connection ---

    def feed(self, message: bytes) -> None:
        """A message has come."""
        if self._told:
            return
        self._feeding = True
        try:
            replies = self._machine.on_message(message)
        except Exception:
            log.exception("stream handler failed")
            self._feeding = False
            self._tell_abort()
            if self._final is None:
                self.end(*_INTERNAL)
        else:
            self._feeding = False
            if replies:
                self._send(replies)
        if self._final is not None:
            self._outlet.connection.finish(self._event.stream_id, *self._final)

    def finish(self) -> None:
        """The peer finished its side."""
        self._outlet.streams.pop(self._event.stream_id, None)
        if self._told:
            return
        self._told = True
        try:
            self._machine.on_end()
        except Exception:
            log.exception("stream handler failed at the end")
            self.end(*_INTERNAL)
        self.end()

    def abort(self) -> None:
        """The stream is over."""
        self._outlet.streams.pop(self._event.stream_id, None)
        self._ended = True
        self._tell_abort()

    def _send(self, messages: Sequence[bytes]) -> None:
        self._outlet.counts.messages_sent += len(messages)
        self._outlet.connection.send(self._event.stream_id, messages)

    def _tell_abort(self) -> None:
        if self._told:
            return
        self._told = True
        try:
            self._machine.on_abort()
        except Exception:
            log.exception("stream handler failed at an abort")


def _metadata(fields: Fields) -> Metadata:
    return custom_metadata((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
