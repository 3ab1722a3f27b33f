"""The bodies of answers: what to pass on to the client, and what was used. One class for each kind of answer.

`feed` takes the next bytes and returns those to send in their place, or None: pass them untouched.
"""

from typing import Protocol

from extproc.sse import Kind, Piece, Splitter, data_of, names_error
from extproc.usage import TAIL_BYTES, StreamMeter, Tokens, read_tail, read_whole


class Body(Protocol):
    """One answer's body as it passes."""

    @property
    def tokens(self) -> Tokens:
        """The usage as far as it is known."""

    @property
    def has_output(self) -> bool:
        """Whether something generated has passed: the time to first token ends."""

    @property
    def failed(self) -> bool:
        """Whether the engine reported an error inside the answer."""

    def feed(self, data: bytes, end: bool) -> bytes | None:
        """Take the next bytes; `end` says that they are the last."""

    def is_whole(self) -> bool:
        """Whether the engine had said all when the body ended, seen from the content alone."""


class SseBody:
    """An event stream. With `strip` the chunk that only `include_usage` adds is taken out; every other byte passes.

    An event that is not complete yet is held, so that the decision about it is made once; whole events pass at once.
    """

    def __init__(self, strip: bool, event_limit: int) -> None:
        self._splitter = Splitter(event_limit)
        self._meter = StreamMeter()
        self._strip = strip
        self._stripped_last = False
        self._named_error = False

    @property
    def tokens(self) -> Tokens:
        return self._meter.tokens

    @property
    def has_output(self) -> bool:
        return self._meter.has_output

    @property
    def failed(self) -> bool:
        return self._meter.failed or self._named_error

    def feed(self, data: bytes, end: bool) -> bytes | None:
        pieces = self._splitter.feed(data)
        if end:
            pieces += self._splitter.finish()
        passed = [self._pass(piece) for piece in pieces]
        if not self._strip:
            return None
        out = b"".join(passed)
        return None if out == data else out

    def is_whole(self) -> bool:
        return self._meter.done

    def _pass(self, piece: Piece) -> bytes:
        if piece.kind is Kind.TERMINATOR:
            return b"" if self._stripped_last else piece.raw
        self._stripped_last = False
        if piece.kind is Kind.UNREAD:
            self._meter.on_unread()
        if piece.kind is not Kind.EVENT:
            return piece.raw
        self._named_error |= names_error(piece.raw)
        data = data_of(piece.raw)
        if data and self._meter.on_data(data) and self._strip:
            self._stripped_last = True
            # Empty lines before the event are not part of it.
            return piece.raw[: len(piece.raw) - len(piece.raw.lstrip(b"\r\n"))]
        return piece.raw


class JsonBody:
    """A JSON answer, passed untouched. Above `limit` bytes only its end is kept, where engines write the usage."""

    failed = False
    has_output = False

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts = bytearray()
        self._cut = False
        self._read: Tokens | None = None
        self._ended = False

    @property
    def tokens(self) -> Tokens:
        if not self._ended:
            return Tokens()
        return (read_tail(bytes(self._parts)) if self._cut else self._read) or Tokens()

    def feed(self, data: bytes, end: bool) -> None:
        self._parts += data
        if len(self._parts) > self._limit:
            self._cut = True
            del self._parts[:-TAIL_BYTES]
        if end:
            self._finish()

    def is_whole(self) -> bool:
        self._finish()
        return self._read is not None

    def _finish(self) -> None:
        self._ended = True
        if not self._cut and self._read is None:
            self._read = read_whole(bytes(self._parts))


class OpaqueBody:
    """An answer that cannot be read: compressed though we asked for identity, or of an unknown type. It passes untouched."""

    failed = False
    has_output = False
    tokens = Tokens()

    def feed(self, data: bytes, end: bool) -> None:
        pass

    def is_whole(self) -> bool:
        return False
