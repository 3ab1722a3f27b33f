"""The spool: the file format by which extproc hands its events to the consumer. Version 1.

A spool is a directory that one extproc process owns. It holds segments `<number>.spool`, written in order of number,
append-only; only the newest grows. A segment starts with `MAGIC`; then records: length of the payload (u32), its CRC-32
(u32), CRC-32 of these eight bytes (u32), payload (msgpack of one of the records below). A new segment starts with all that is
still open and all that is still owed, so that a segment before it can be deleted once every record of it was consumed.
A torn last record (the process or the machine died while writing) ends the segment; a wrong checksum is corruption and is
never skipped. The head has its own, or a damaged length would pass for a torn record and hide all that follows.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ias.context import RequestContext
from ias.usage_event import RequestRecorded

MAGIC = b"IASSPL1\n"
SUFFIX = ".spool"
MAX_RECORD_BYTES = 1 << 20
_HEAD = struct.Struct("<II")
_HEAD_CRC = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _HEAD_CRC.size


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """Extproc saw an admitted request; without a `Closed` of the same reservation, it was lost."""

    context: RequestContext
    opened_at_ms: int


class Grown(msgspec.Struct, frozen=True, tag="grown"):
    """The hold of an open request was topped up to so many tokens."""

    reservation_id: str
    held_tokens: int


class Owed(msgspec.Struct, frozen=True, tag="owed"):
    """What the admission store is to charge for a request that ended; owed until a `Settled` names it."""

    org_id: str
    user_id: str
    key_id: str
    reservation_id: str
    in_store: bool
    input_tokens: int
    output_tokens: int
    publication_id: str = ""
    """Whose learned values the request may change; empty: it teaches nothing."""
    prompt_bytes: int = 0


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """A request ended; this is what the ledger wants."""

    event: RequestRecorded
    owed: Owed | None = None
    """None: the store has charged it already, when it swept the reservation."""


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """The store has taken what was owed for these."""

    reservation_ids: list[str]


Record = Opened | Grown | Closed | Owed | Settled
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class SpoolCorrupt(Exception):
    """A segment holds bytes that were never written by a spool; the message names file and offset."""


def encode(record: Record) -> bytes:
    """Frame one record."""
    payload = _encoder.encode(record)
    if len(payload) > MAX_RECORD_BYTES:
        raise ValueError(f"record of {len(payload)} bytes")
    head = _HEAD.pack(len(payload), zlib.crc32(payload))
    return head + _HEAD_CRC.pack(zlib.crc32(head)) + payload


def segment_path(directory: Path, number: int) -> Path:
    """Name of a segment; names sort as their numbers."""
    return directory / f"{number:012d}{SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segments in a spool, in order."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


def read_segment(path: Path, offset: int = 0, max_bytes: int = 8 << 20) -> Iterator[tuple[Record, int]]:
    """Yield (record, offset behind it) from `offset` on, at most about `max_bytes`.

    A record that is not complete yet ends the reading without an error: call again from the last offset. One complete record
    is always yielded, however small `max_bytes`. Raises SpoolCorrupt on a wrong checksum or impossible length.
    """
    with path.open("rb") as file:
        if offset == 0:
            magic = file.read(len(MAGIC))
            if len(magic) < len(MAGIC) and MAGIC.startswith(magic):
                return
            if magic != MAGIC:
                raise SpoolCorrupt(f"{path} is not a spool segment")
            offset = len(MAGIC)
        file.seek(offset)
        buffer = file.read(max(max_bytes, _HEAD_BYTES + MAX_RECORD_BYTES))
    position = 0
    while len(buffer) - position >= _HEAD_BYTES:
        try:
            payload = _payload(buffer, position)
            if payload is None:
                return
            record = _decoder.decode(payload)
        except (ValueError, RecursionError) as error:
            raise SpoolCorrupt(f"{path} offset {offset + position}: {error}") from error
        position += _HEAD_BYTES + len(payload)
        yield record, offset + position


def _payload(buffer: bytes, position: int) -> bytes | None:
    """Return the payload at `position`, None if it is not complete yet; raise ValueError if it was never written so."""
    body = position + _HEAD_BYTES
    length, checksum = _HEAD.unpack_from(buffer, position)
    if zlib.crc32(buffer[position : position + _HEAD.size]) != _HEAD_CRC.unpack_from(buffer, position + _HEAD.size)[0]:
        raise ValueError("wrong checksum of the head")
    if not 0 < length <= MAX_RECORD_BYTES:
        raise ValueError(f"impossible length {length}")
    if body + length > len(buffer):
        return None
    payload = buffer[body : body + length]
    if zlib.crc32(payload) != checksum:
        raise ValueError("wrong checksum")
    return payload
