"""Server-sent events as bytes: splits a stream into events wherever its chunks were cut, and puts it together again.

Lines end with LF, CRLF or CR, an event with an empty line (WHATWG HTML, "Parsing an event stream"). The pieces that a
splitter returns, joined, are always exactly the bytes that went in.
"""

import re
from enum import Enum

# Two line ends. Possessive, so that the LF of a CRLF is never taken for the second one; spelled to begin with literals, which are searched fast.
_EVENT_END = re.compile(rb"\n(?:\n|\r\n?+)|\r\n?+(?:\n|\r\n?+)")
_MAX_END = 4
_BOM = b"\xef\xbb\xbf"
"""May stand before the first event."""


class Kind(Enum):
    """What a piece of the stream is."""

    EVENT = 1
    """One whole event, its empty line included; the last one of a stream may lack it."""
    TERMINATOR = 2
    """The LF of a CRLF whose CR already ended the event before: it belongs to that one."""
    UNREAD = 3
    """The first bytes of an event above the limit, perhaps all of it."""
    PART = 4
    """More of an event above the limit."""


Piece = tuple[Kind, bytes]
"""A run of bytes of the stream."""


class Splitter:
    """Holds an incomplete event until its end comes; one above `limit` bytes is let through in parts and never held."""

    __slots__ = ("_after_cr", "_held", "_letting_through", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._after_cr = False
        self._letting_through = False

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes, return the pieces that are complete with them."""
        if not (self._held or self._after_cr or self._letting_through) and _is_one_event(data) and len(data) <= self._limit:
            return [(Kind.EVENT, data)]
        pieces: list[Piece] = []
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                pieces.append((Kind.TERMINATOR, b"\n"))
                data = data[1:]
        # An end can begin in what is held: at most one line end of two bytes.
        start, search_from = 0, max(0, len(self._held) - 2)
        self._held += data
        while end := _EVENT_END.search(self._held, search_from):
            pieces.append(self._whole(bytes(self._held[start : end.end()])))
            start = search_from = end.end()
            self._after_cr = start == len(self._held) and self._held.endswith(b"\r")
        del self._held[:start]
        if self._letting_through or len(self._held) > self._limit + _MAX_END:
            pieces += self._let_through()
        return pieces

    def finish(self) -> list[Piece]:
        """Return what is held: an event without its empty line. WHATWG discards it, the clients of OpenAI and Anthropic read it."""
        held = bytes(self._held)
        self._held.clear()
        return [(Kind.PART if self._letting_through else Kind.EVENT, held)] if held else []

    def _whole(self, raw: bytes) -> Piece:
        if self._letting_through:
            self._letting_through = False
            return Kind.PART, raw
        too_large = len(raw) > self._limit and len(raw.rstrip(b"\r\n")) > self._limit
        return Kind.UNREAD if too_large else Kind.EVENT, raw

    def _let_through(self) -> list[Piece]:
        """Pass on all but a line end at the very end, which may be the first half of the event's end."""
        kind = Kind.PART if self._letting_through else Kind.UNREAD
        self._letting_through = True
        passed = bytes(self._held).rstrip(b"\r\n")
        del self._held[: len(passed)]
        return [(kind, passed)] if passed else []


def _is_one_event(data: bytes) -> bool:
    """Whether this is one whole event and nothing else, as engines send most of them: two LFs, at its end."""
    return data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data


def data_of(event: bytes) -> bytes:
    """Return an event's `data`, its lines joined; empty if there is none (a comment, a keep-alive)."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2].strip()
    lines = [line for line in event.removeprefix(_BOM).splitlines() if line.startswith(b"data:")]
    if len(lines) == 1:
        return lines[0][5:].strip()
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def names_error(event: bytes) -> bool:
    """Whether the event's type is `error`, as some engines mark theirs."""
    return b"event:" in event and any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in event.splitlines())
