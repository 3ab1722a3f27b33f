"""What fuzzing does with `ias/wire` (`make fuzz-wire`).

An input is a small program: what the peer says, in frames that are whole or in raw bytes, cut into reads, with commands of the server
and time between them. `play` runs one and raises if a promise of the connection is broken. What atheris finds is written into
`corpus/wire/`; `tests/property/test_wire_soup.py` replays that folder on every run.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.support.http2 import ACK, PREFACE, SETTINGS, block, frame, framed, request_fields, settings
from tests.support.wire_echo import STREAM, TIGHT, UNARY, Echo

CORPUS = Path(__file__).parent / "corpus" / "wire"
HANDSHAKE = PREFACE + settings() + frame(SETTINGS, ACK, 0)
BLOCKS = [block([*request_fields(path), *more]) for path in (UNARY, STREAM, "/nobody") for more in ([], [("traceparent", "00-aa-bb-00")])]
_GREETED, _SILENT = 1, 2
_RAW, _FRAME, _CALL, _OPEN, _MESSAGE, _COMMAND, _TICK, _CUT = range(8)


class _Input:
    """Takes an input apart; what is beyond its end is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        return int.from_bytes(self.bytes(1), "big")

    def bytes(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken


def play(data: bytes) -> Echo:
    """Run one input against an echo under tight limits."""
    given = _Input(data)
    how = given.byte()
    echo = Echo(TIGHT, answers=not how & _SILENT)
    if how & _GREETED:
        echo.receive(HANDSHAKE)
    kept = b""
    while given:
        kind = given.byte() % 8
        if kind == _COMMAND:
            echo.command(given.byte())
        elif kind == _TICK:
            echo.tick(given.byte())
        elif kind == _CUT:
            at = given.byte()
            echo.receive(kept[:at])
            kept = kept[at:]
        else:
            kept += b"".join(_said(kind, given))
    echo.receive(kept)
    echo.tick(1e9)
    echo.tick(2e9)
    assert echo.connection.is_finished
    assert echo.connection.live_streams == 0
    return echo


def _said(kind: int, given: _Input) -> Iterator[bytes]:
    stream, size = given.byte(), given.byte()
    if kind == _RAW:
        yield given.bytes(size)
    elif kind == _FRAME:
        yield frame(given.byte() % 12, given.byte(), stream, given.bytes(size))
    elif kind == _MESSAGE:
        yield frame(0, given.byte() & 1, stream, framed(bytes(size) * (1 + given.byte())))
    else:  # calls and streams that are well-formed, so that others may go wrong in the middle of them
        yield frame(1, 4, stream, BLOCKS[size % len(BLOCKS)])
        if kind == _CALL:
            yield frame(0, 1, stream, framed(bytes(size)))


def seeds() -> Iterator[bytes]:
    """Inputs to begin with: a call, a stream with messages, raw bytes, a reset, small windows."""
    greeted = bytes((_GREETED,))
    yield greeted + bytes((_CALL, 1, 0, _CALL, 3, 1, _CALL, 5, 1))
    yield greeted + bytes((_OPEN, 1, 2, _MESSAGE, 1, 200, 0, 50, _CUT, 30, _COMMAND, 0, _MESSAGE, 1, 9, 1, 0, _COMMAND, 1))
    yield greeted + bytes((_OPEN, 1, 2, _CUT, 255, _FRAME, 1, 4, 3, 0, 0, 0, 0, 8, _FRAME, 0, 6, 4, 0, 0, 4, 0, 0, 0, 1))
    yield bytes((_SILENT, _RAW, 0, len(HANDSHAKE))) + HANDSHAKE + bytes((_CALL, 1, 0, _TICK, 40, _COMMAND, 2, _TICK, 1))
    for encoded in BLOCKS[:2]:
        half = len(encoded) // 2
        yield greeted + bytes((_FRAME, 1, half, 1, 0)) + encoded[:half] + bytes((_FRAME, 1, len(encoded) - half, 9, 4)) + encoded[half:]
