"""Header blocks (RFC 7541) in and out.

In: `hpack` decodes. We announce a dynamic table of size 0; once the peer has acknowledged that, a block stands for itself and so does
each of its fields, and what was decoded once is found again by its bytes: first the whole block; else field by field along
the block before, which costs something only where the two differ (a `traceparent` is new in every call).

Out: everything is literal and not indexed, so that constant blocks are constant bytes.
"""

from typing import NamedTuple

import hpack

from ias.wire import huffman
from ias.wire.errors import ConnectionFault, ErrorCode
from ias.wire.events import Fields
from ias.wire.requests import Request, is_plain, read_request, valid_value

NO_DYNAMIC_TABLE = b"\x20"
"""Dynamic table size update to 0: stands once before the first block that we send, since we never use the table."""
_MAX_CACHED = 256
_LONGEST_CACHED = 2_048
"""Longer blocks are decoded each time, so that a peer does not fill the memory."""
_HARD_LIMIT = 4
"""How many times `max_header_bytes` a block may have before we stop reading it, which ends the connection."""


def literal(name: str, value: bytes) -> bytes:
    """A field as a literal without indexing, not Huffman coded (RFC 7541 §6.2.2)."""
    return b"\x00" + _string(name.encode()) + _string(value)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes((length,)) + text
    coded = bytearray((127,))
    length -= 127
    while length >= 128:
        coded.append(length & 127 | 128)
        length >>= 7
    coded.append(length)
    return bytes(coded) + text


class _Known(NamedTuple):
    """A field that was decoded before; `is_plain` fields change nothing in what a request means."""

    encoded: bytes
    field: tuple[bytes, bytes]
    is_plain: bool


class _UnusualError(Exception):
    """A field in a form that only `hpack` reads."""


class HeaderBlocks:
    """Decodes the blocks of one connection, in their order."""

    def __init__(self, max_header_bytes: int) -> None:
        self._max_header_bytes = max_header_bytes
        self.max_block_bytes = _HARD_LIMIT * max_header_bytes
        self._decoder = hpack.Decoder(max_header_list_size=_HARD_LIMIT * max_header_bytes)
        self.are_self_contained = False
        """No block refers to one before it any more."""
        self._requests: dict[bytes, Request] = {}
        self._names: dict[bytes, bytes] = {}
        self._known: dict[bytes, _Known] = {}
        self._last: list[_Known] = []
        self._last_request: Request | None = None

    def table_is_gone(self) -> None:
        """The peer has acknowledged our table size of 0: from here on nothing that it sends refers to another block."""
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self.are_self_contained = True

    def request(self, block: bytes) -> Request:
        """What a request's block asks for.

        Raises:
            StreamFault: the request is malformed (RFC 9113 §8.1.1).
            ConnectionFault: the block cannot be decoded, and so none after it.
        """
        known = self._requests.get(block)
        if known is not None:
            return known
        if self.are_self_contained and len(block) <= _LONGEST_CACHED:
            try:
                return self._along_the_last(block)
            except (_UnusualError, hpack.HPACKError, IndexError, ValueError):
                pass  # hpack reads it, or says what is wrong with it
        return read_request(self.fields(block), self._max_header_bytes)

    def fields(self, block: bytes) -> Fields:
        """The fields of a block; raise ConnectionFault when it cannot be decoded."""
        try:
            return tuple((name, value) for name, value in self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list far above its limit") from error
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "header block that cannot be decoded") from error

    def _along_the_last(self, block: bytes) -> Request:
        """Decode field by field, taking from the block before what is the same."""
        last = self._last
        fields: list[_Known] = []
        position, end, count = 0, len(block), len(last)
        is_new = differs_in_meaning = False
        while position < end:
            place = len(fields)
            if place < count:
                known = last[place]
                if block.startswith(known.encoded, position):
                    fields.append(known)
                    position += len(known.encoded)
                    continue
            after = _end_of_field(block, position)
            encoded = block[position:after]
            seen = self._known.get(encoded)
            is_new = is_new or seen is None
            known = seen or self._decode_field(encoded)
            if not (place < count and known.is_plain and last[place].is_plain):
                differs_in_meaning = True
            fields.append(known)
            position = after
        texts = tuple([known.field for known in fields])
        if differs_in_meaning or len(fields) != count or self._last_request is None:
            request = read_request(texts, self._max_header_bytes)
        else:
            request = self._last_request.with_fields(texts)
        self._last, self._last_request = fields, request
        if not is_new:  # all of it was seen before: it may well come again as it is
            if len(self._requests) >= _MAX_CACHED:
                self._requests.clear()
            self._requests[block] = request
        return request

    def _decode_field(self, encoded: bytes) -> _Known:
        start = 0 if encoded[0] & 0x80 else _start_of_value(encoded)
        name = self._names.get(encoded[:start])
        if name is None or encoded[start] & 0x7F == 0x7F:
            [(name, value)] = self._decoder.decode(encoded, raw=True)
            if start and len(self._names) < _MAX_CACHED:
                self._names[encoded[:start]] = name
        else:
            value = encoded[start + 1 :]
            if encoded[start] & 0x80:
                value = huffman.decode(value)
        known = _Known(encoded, (name, value), is_plain(name) and valid_value(value))
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[encoded] = known
        return known


def _end_of_field(block: bytes, position: int) -> int:
    """Where the field ends that begins at `position`; IndexError or _UnusualError when that is not quickly said."""
    if block[position] & 0x80:
        if block[position] & 0x7F == 0x7F:
            raise _UnusualError
        return position + 1
    start = _start_of_value(block, position)
    length = block[start] & 0x7F
    if length == 0x7F:
        more = block[start + 1]
        if more & 0x80:
            raise _UnusualError
        length += more + 1
    end = start + 1 + length
    if end > len(block):
        raise _UnusualError
    return end


def _start_of_value(block: bytes, position: int = 0) -> int:
    """Where the length of a literal's value stands (RFC 7541 §6.2)."""
    first = block[position]
    if first & 0x40:
        mask = 0x3F
    elif first & 0x20:
        raise _UnusualError  # a table size update
    else:
        mask = 0x0F
    position += 1
    index = first & mask
    if index == mask:  # an index of two bytes
        if block[position] & 0x80:
            raise _UnusualError
        return position + 1
    if index:
        return position
    length = block[position] & 0x7F
    if length == 0x7F:
        raise _UnusualError
    return position + 1 + length
