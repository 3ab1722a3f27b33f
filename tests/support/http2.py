"""HTTP/2 frames by hand, allowed or not (RFC 9113 §4, §6), independent of the code under test."""

from collections.abc import Iterator, Sequence

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def settings(**values: int) -> bytes:
    names = {"header_table_size": 1, "enable_push": 2, "max_concurrent_streams": 3, "initial_window_size": 4, "max_frame_size": 5}
    return frame(SETTINGS, 0, 0, b"".join(names[name].to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items()))


def window_update(stream_id: int, room: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, room.to_bytes(4, "big"))


def reset(stream_id: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def framed(message: bytes) -> bytes:
    """A message as gRPC puts it into DATA."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def request_fields(path: str, content_type: str = "application/grpc") -> list[tuple[str, str]]:
    """The headers of a call."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")]
    return [*fields, ("te", "trailers"), ("content-type", content_type)]


def block(fields: Sequence[tuple[str, str]]) -> bytes:
    """A header block that refers to no other."""
    encoder = Encoder()
    encoder.header_table_size = 0
    encoder.encode([("x", "y")])  # takes the change of the table's size with it
    encoded: bytes = encoder.encode(fields)
    return encoded


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each frame; ValueError when the last one is not whole."""
    at = 0
    while at < len(data):
        end = at + 9 + int.from_bytes(data[at : at + 3], "big")
        if end > len(data):
            raise ValueError("half a frame")
        yield data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"), data[at + 9 : end]
        at = end
