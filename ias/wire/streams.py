"""Streams and their states (RFC 9113 §5.1), as a server sees them that never pushes.

`VERDICTS` is the whole table of what a frame means in a state. A stream that we end before its peer does is reset as well
(RFC 9113 §8.1), so the state "half-closed (local)" does not last; closed streams are told apart by who closed them.
"""

from collections import deque
from enum import Enum, IntEnum, auto

from ias.wire import frames
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault
from ias.wire.messages import MessageReader
from ias.wire.requests import Request

_REMEMBERED = 1_024
"""Closed streams of which we know at least how they were closed."""


class State(IntEnum):
    """Where a stream stands."""

    IDLE = auto()
    OPEN = auto()
    HALF_CLOSED = auto()
    """The peer has ended its side."""
    ENDED = auto()
    """Both sides ended."""
    RESET_BY_US = auto()
    """What the peer sent before it knew is ignored."""
    RESET_BY_PEER = auto()
    PASSED_OVER = auto()
    """Closed because the peer opened one with a higher number, or so long ago that we forgot how."""


class Verdict(Enum):
    """What to do with a frame."""

    TAKE = auto()
    IGNORE = auto()
    STREAM_CLOSED = auto()
    CONNECTION_CLOSED = auto()
    """A connection error of type STREAM_CLOSED."""
    CONNECTION_PROTOCOL = auto()


def _row(
    idle: Verdict, open_: Verdict, half_closed: Verdict, ended: Verdict, by_us: Verdict, by_peer: Verdict, passed: Verdict
) -> dict[State, Verdict]:
    return dict(zip(State, (idle, open_, half_closed, ended, by_us, by_peer, passed), strict=True))


_T, _I, _S = Verdict.TAKE, Verdict.IGNORE, Verdict.STREAM_CLOSED
_C, _P = Verdict.CONNECTION_CLOSED, Verdict.CONNECTION_PROTOCOL

VERDICTS: dict[int, dict[State, Verdict]] = {
    #                          IDLE OPEN HALF_CLOSED ENDED RESET_BY_US RESET_BY_PEER PASSED_OVER
    frames.HEADERS: _row(_T, _T, _S, _C, _I, _S, _P),
    frames.DATA: _row(_P, _T, _S, _C, _I, _S, _S),
    frames.RST_STREAM: _row(_P, _T, _T, _I, _I, _I, _I),
    frames.WINDOW_UPDATE: _row(_P, _T, _T, _I, _I, _I, _I),
}


class Shape(Enum):
    """What a stream carries."""

    UNARY = auto()
    STREAM = auto()
    NOTHING = auto()
    """A request that will be refused once it has ended; its data is dropped."""


class Stream:
    """One live stream."""

    __slots__ = (
        "announced",
        "begun",
        "deadline",
        "debt",
        "final_block",
        "held",
        "id",
        "message",
        "reader",
        "received",
        "remote_ended",
        "request",
        "shape",
        "unsent",
        "unsent_bytes",
        "window",
    )

    def __init__(self, stream_id: int, shape: Shape, request: Request, deadline: float | None, window: int) -> None:
        self.id = stream_id
        self.shape = shape
        self.request = request
        self.deadline = deadline
        self.announced = False
        """The handler knows of it."""
        self.remote_ended = False
        self.debt = 0
        """Bytes received for which the peer has not got new room yet."""
        self.received = 0
        """Bytes of DATA, counted only for a request with a content-length."""
        self.reader: MessageReader | None = None
        """Only while a message is incomplete."""
        self.message: bytes | None = None
        """The message of a unary call."""
        self.held = 0
        """Bytes received and still in memory."""
        self.window = window
        """What we may send."""
        self.begun = False
        """Our HEADERS were sent."""
        self.unsent: deque[memoryview] | None = None
        self.unsent_bytes = 0
        self.final_block: bytes | None = None
        """Trailers that wait for `unsent` to drain."""


class Streams:
    """The streams of one connection: those alive, and how the last ones were closed."""

    __slots__ = ("_closed", "_closed_before", "last_id", "live")

    def __init__(self) -> None:
        self.live: dict[int, Stream] = {}
        self.last_id = 0
        """The highest that the peer has opened."""
        self._closed: dict[int, State] = {}
        self._closed_before: dict[int, State] = {}

    def close(self, stream_id: int, state: State) -> None:
        """Forget a stream, but for how it was closed."""
        self.live.pop(stream_id, None)
        self._closed[stream_id] = state
        if len(self._closed) >= _REMEMBERED:
            self._closed_before, self._closed = self._closed, {}

    def state(self, stream_id: int) -> State:
        """Where any stream of the peer stands."""
        stream = self.live.get(stream_id)
        if stream is not None:
            return State.HALF_CLOSED if stream.remote_ended else State.OPEN
        if stream_id > self.last_id or not stream_id & 1:
            return State.IDLE
        return self._closed.get(stream_id) or self._closed_before.get(stream_id) or State.PASSED_OVER

    def takes(self, kind: int, stream_id: int) -> bool:
        """Whether a frame is to be processed (True) or ignored; raise the fault that it is otherwise."""
        verdict = VERDICTS[kind][self.state(stream_id)]
        if verdict is Verdict.TAKE:
            return True
        if verdict is Verdict.IGNORE:
            return False
        if verdict is Verdict.STREAM_CLOSED:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "frame on a closed stream")
        if verdict is Verdict.CONNECTION_CLOSED:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "frame on a stream that has ended")
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame on a stream in a state that does not allow it")
