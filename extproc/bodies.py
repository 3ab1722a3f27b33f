"""The bodies of answers: what to pass on to the client, and what was used. One class for each kind of answer.

`feed` takes the next bytes and returns those to send in their place, or None: pass them untouched.
"""

from typing import Protocol

from extproc.decoding import Undecodable, new_decoder
from extproc.dialects.reading import Reading, StreamReader
from extproc.dialects.whole import TAIL_BYTES, read_tail, read_whole
from extproc.sse import Kind, Splitter, data_of, names_error
from extproc.tokens import Tokens


class Body(Protocol):
    """One answer's body as it passes."""

    @property
    def streams(self) -> bool:
        """Whether it comes event by event, so that its end can be told from a cut."""

    @property
    def seen(self) -> Reading:
        """The usage as far as it is known."""

    def feed(self, data: bytes, end: bool) -> bytes | None:
        """Take the next bytes; `end` says that they are the last."""

    def is_whole(self) -> bool:
        """Whether the engine had said all when the body ended, seen from the content alone."""


class SseBody:
    """An event stream. What its reader takes out is missing, every other byte passes.

    With `edits` an event that is not complete yet is held, so that the decision about it is made once; whole events pass at once.
    """

    def __init__(self, reader: StreamReader, event_limit: int, *, edits: bool) -> None:
        self._splitter = Splitter(event_limit)
        self._reader = reader
        self._edits = edits
        self._stripped_last = False
        self._in_part = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def seen(self) -> Reading:
        return self._reader.seen

    def feed(self, data: bytes, end: bool) -> bytes | None:
        pieces = self._splitter.feed(data)
        if end:
            pieces += self._splitter.finish()
        if not self._edits:
            for kind, raw in pieces:
                if kind is Kind.EVENT:
                    self._read(raw)
                elif kind is Kind.UNREAD:
                    self._reader.seen.deltas += 1  # output is never taken for none
            return None
        out = b"".join([self._pass(kind, raw) for kind, raw in pieces])
        return None if out == data else out

    def is_whole(self) -> bool:
        return self._reader.seen.done

    def ending(self, tokens: Tokens) -> bytes:
        """What ends the stream here; an event of which only a part has passed is ended before it."""
        return (b"\n\n" if self._in_part else b"") + self._reader.ending(tokens)

    def _read(self, raw: bytes) -> tuple[bytes, bytes | None]:
        data = data_of(raw)
        if b"event:" in raw and names_error(raw):
            self._reader.seen.failed = True
        return data, self._reader.on_data(data) if data else None

    def _pass(self, kind: Kind, raw: bytes) -> bytes:
        if kind is Kind.TERMINATOR:
            return b"" if self._stripped_last else raw
        self._stripped_last = False
        if kind is Kind.UNREAD:
            self._reader.seen.deltas += 1
        if kind is not Kind.EVENT:
            self._in_part = not raw.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
            return raw
        self._in_part = False
        data, instead = self._read(raw)
        if instead is None:
            return raw
        if not instead:
            self._stripped_last = True
            # Empty lines before the event are not part of it.
            return raw[: len(raw) - len(raw.lstrip(b"\r\n"))]
        # Data of several lines was joined and is not found again: then the event stays as it is.
        return raw.replace(data, instead, 1)


class JsonBody:
    """A JSON answer, passed untouched. Above `limit` bytes only its end is kept, where engines write the usage."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts = bytearray()
        self._cut = False
        self._whole: Reading | None = None
        self._ended = False

    @property
    def streams(self) -> bool:
        return False

    @property
    def seen(self) -> Reading:
        if not self._ended:
            return Reading()
        return (read_tail(bytes(self._parts)) if self._cut else self._whole) or Reading()

    def feed(self, data: bytes, end: bool) -> None:
        self._parts += data
        if len(self._parts) > self._limit:
            self._cut = True
            del self._parts[:-TAIL_BYTES]
        if end:
            self._finish()

    def is_whole(self) -> bool:
        self._finish()
        return self._whole is not None

    def _finish(self) -> None:
        self._ended = True
        if not self._cut and self._whole is None:
            self._whole = read_whole(bytes(self._parts))


class EncodedBody:
    """An answer in a content coding, though we had asked for none. Its bytes pass untouched; what they decode to is read.

    So a usage chunk that only we asked for reaches the client here, and a top-up that is refused cannot end the answer.
    """

    def __init__(self, coding: str, inner: Body) -> None:
        """Raises Undecodable."""
        self._inner = inner
        self._decoder = new_decoder(coding, self._take)
        self._lost = False

    @property
    def streams(self) -> bool:
        return self._inner.streams and not self._lost

    @property
    def seen(self) -> Reading:
        return self._inner.seen

    def feed(self, data: bytes, end: bool) -> None:
        if not self._lost:
            try:
                self._decoder.feed(data)
            except Undecodable:
                self._lost = True
        if end:
            self._inner.feed(b"", end=True)

    def is_whole(self) -> bool:
        return self._inner.is_whole()

    def _take(self, block: bytes) -> None:
        self._inner.feed(block, end=False)


class UncountedBody:
    """An answer without tokens. Only how much of it has passed matters: then it is known whether the engine had said all."""

    def __init__(self, length: int | None) -> None:
        self._left = length

    @property
    def streams(self) -> bool:
        return False

    @property
    def seen(self) -> Reading:
        return Reading()

    def feed(self, data: bytes, end: bool) -> None:
        if self._left is not None:
            self._left -= len(data)

    def is_whole(self) -> bool:
        return self._left is not None and self._left <= 0


class OpaqueBody:
    """An answer that cannot be read, because of its type or its coding. It passes untouched."""

    @property
    def streams(self) -> bool:
        return False

    @property
    def seen(self) -> Reading:
        return Reading()

    def feed(self, data: bytes, end: bool) -> None:
        pass

    def is_whole(self) -> bool:
        return False
