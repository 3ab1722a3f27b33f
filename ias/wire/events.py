"""What bytes of a peer mean to the server. An event is made once for each message, so these are plain slotted classes."""

from ias.wire.errors import ErrorCode

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields in their order, pseudo fields included."""


class CallReceived:
    """A whole unary call has come: its one message and its end. Answer it with `respond` or `fail`."""

    __slots__ = ("deadline", "fields", "message", "path", "stream_id")

    def __init__(self, stream_id: int, path: str, message: bytes, deadline: float | None, fields: Fields) -> None:
        self.stream_id = stream_id
        self.path = path
        self.message = message
        self.deadline = deadline
        """Time at which the peer gives up, on the clock of `receive`; None: never."""
        self.fields = fields


class StreamOpened:
    """A bidirectional stream has begun."""

    __slots__ = ("deadline", "fields", "path", "stream_id")

    def __init__(self, stream_id: int, path: str, deadline: float | None, fields: Fields) -> None:
        self.stream_id = stream_id
        self.path = path
        self.deadline = deadline
        self.fields = fields


class MessageReceived:
    """A message of a bidirectional stream."""

    __slots__ = ("message", "stream_id")

    def __init__(self, stream_id: int, message: bytes) -> None:
        self.stream_id = stream_id
        self.message = message


class StreamEnded:
    """The peer finished its side of a bidirectional stream cleanly."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class StreamAborted:
    """A call or stream that was announced is over, not by us and not cleanly. What is sent to it from now on is ignored."""

    __slots__ = ("reason", "stream_id")

    def __init__(self, stream_id: int, reason: str) -> None:
        self.stream_id = stream_id
        self.reason = reason


class StreamRefused:
    """For the record: a request was refused, or a stream ended, for what the peer did; `kind` is a label, not a text."""

    __slots__ = ("kind", "stream_id")

    def __init__(self, stream_id: int, kind: str) -> None:
        self.stream_id = stream_id
        self.kind = kind


class ConnectionClosing:
    """The connection is over: send what is left and close. Every open stream was aborted before."""

    __slots__ = ("code", "reason")

    def __init__(self, code: ErrorCode, reason: str) -> None:
        self.code = code
        self.reason = reason


Event = CallReceived | StreamOpened | MessageReceived | StreamEnded | StreamAborted | StreamRefused | ConnectionClosing
