"""Frames of RFC 9113 §4 and §6: their numbers, and how those are built that have no stream state."""

from collections.abc import Iterable, Iterator
from struct import Struct

from ias.wire.errors import ConnectionFault, ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
HEADER = Struct(">IBI")
"""A frame's header in three numbers: length and type as one (24 and 8 bits), flags, stream."""
STREAM_MASK = 0x7FFF_FFFF
"""The highest bit of a stream id is reserved and ignored."""
MAX_WINDOW = 0x7FFF_FFFF
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

_SETTING = Struct(">HI")
_U32 = Struct(">I")
_U32_U32 = Struct(">II")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return HEADER.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """A SETTINGS frame (§6.5)."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The pairs of a SETTINGS frame; raise ConnectionFault when they do not fill it."""
    if len(payload) % _SETTING.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
    return _SETTING.iter_unpack(payload)


def reset(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame (§6.4)."""
    return HEADER.pack(4 << 8 | RST_STREAM, 0, stream_id) + _U32.pack(code)


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame (§6.9)."""
    return HEADER.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id) + _U32.pack(increment)


def go_away(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """A GOAWAY frame (§6.8)."""
    return frame(GOAWAY, 0, 0, _U32_U32.pack(last_stream_id, code) + debug)


def ping(payload: bytes, flags: int = 0) -> bytes:
    """A PING frame (§6.7); `payload` has 8 bytes."""
    return frame(PING, flags, 0, payload)


def read_u32(payload: bytes, what: str) -> int:
    """The one number of RST_STREAM or WINDOW_UPDATE; raise ConnectionFault when it is not one."""
    if len(payload) != _U32.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{what} of a broken length")
    number: int = _U32.unpack(payload)[0]
    return number


def without_padding(payload: bytes, flags: int) -> bytes:
    """What a DATA or HEADERS frame carries (§6.1); raise ConnectionFault when its padding is longer than itself."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "padded frame without a length of its padding")
    if payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1 : len(payload) - payload[0]]
