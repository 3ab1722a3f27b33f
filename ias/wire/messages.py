"""gRPC messages in DATA: a flag, a length, the message (PROTOCOL-HTTP2.md, "Length-Prefixed-Message")."""

from collections.abc import Iterator
from struct import Struct

from ias.transport import Status

PREFIX = Struct(">BI")
"""Compressed flag and length."""
PREFIX_BYTES = 5


class MessageError(Exception):
    """The stream ends with this status."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def check_prefix(flag: int, length: int, max_message_bytes: int) -> None:
    """Raise MessageError for a message that is compressed or too large."""
    if length > max_message_bytes:
        raise MessageError(Status.RESOURCE_EXHAUSTED, f"message of {length} bytes; the limit is {max_message_bytes}")
    if flag:
        raise MessageError(Status.UNIMPLEMENTED if flag == 1 else Status.INTERNAL, "messages must not be compressed")


class MessageReader:
    """Puts messages together from pieces of any size; holds less than one message and its prefix."""

    __slots__ = ("_held", "_max_message_bytes", "_needed", "_parts")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = PREFIX_BYTES

    @property
    def held_bytes(self) -> int:
        """What waits for the rest of its message."""
        return self._held

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are whole now; raise MessageError behind them for one that must not be taken."""
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return
        if self._held == self._needed > PREFIX_BYTES:  # how long messages end: their bytes are copied once
            message = b"".join((memoryview(self._parts[0])[PREFIX_BYTES:], *self._parts[1:]))
            self._parts, self._held, self._needed = [], 0, PREFIX_BYTES
            yield message
            return
        joined = b"".join(self._parts) if len(self._parts) > 1 else data
        position, end = 0, len(joined)
        self._needed = PREFIX_BYTES
        while end - position >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(joined, position)
            check_prefix(flag, length, self._max_message_bytes)
            after = position + PREFIX_BYTES + length
            if after > end:
                self._needed = PREFIX_BYTES + length
                break
            yield joined[position + PREFIX_BYTES : after]
            position = after
        self._parts = [joined[position:]] if position < end else []
        self._held = end - position
