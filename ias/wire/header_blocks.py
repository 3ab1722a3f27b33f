"""Header blocks (RFC 7541) in and out.

In: `hpack` decodes. We announce a dynamic table of size 0; once the peer has acknowledged that, a block stands for itself and so does
each of its fields, and what was decoded once is found again by its bytes: the whole block; a block that differs in one field from one
before (a `traceparent` is new in every call); or else each field.

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
    name: bytes
    value: bytes
    is_plain: bool


class _Template(NamedTuple):
    """All blocks that are like one but for the value of a plain field."""

    before: bytes
    after: bytes
    place: int
    request: Request


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
        self._known: dict[bytes, _Known] = {}
        self._names: dict[bytes, bytes] = {}
        self._last: list[_Known] = []
        self._template: _Template | None = None

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
                return self._like_the_template(block) or self._by_fields(block)
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

    def _like_the_template(self, block: bytes) -> Request | None:
        template = self._template
        if template is None or not block.startswith(template.before):
            return None
        start = len(template.before)
        end = _end_of_field(block, start)
        if block[end:] != template.after:
            return None
        field = self._decode_field(block[start:end])
        request = template.request
        if not field.is_plain or field.name != request.fields[template.place][0]:
            return None
        return request.with_value(template.place, field.value, self._max_header_bytes)

    def _by_fields(self, block: bytes) -> Request:
        fields: list[_Known] = []
        position, end = 0, len(block)
        is_new = False
        while position < end:
            after = _end_of_field(block, position)
            encoded = block[position:after]
            known = self._known.get(encoded)
            if known is None:
                is_new = True
                known = self._decode_field(encoded)
                if len(self._known) >= _MAX_CACHED:
                    self._known.clear()
                self._known[encoded] = known
            fields.append(known)
            position = after
        request = read_request(tuple([(known.name, known.value) for known in fields]), self._max_header_bytes)
        if not is_new:  # all of it was seen before: it may well come again as it is
            if len(self._requests) >= _MAX_CACHED:
                self._requests.clear()
            self._requests[block] = request
        self._learn(fields, request)
        return request

    def _learn(self, fields: list[_Known], request: Request) -> None:
        """Make a template if a block differs from the one before in one plain field."""
        different = [place for place, (one, other) in enumerate(zip(fields, self._last, strict=False)) if one is not other]
        if len(fields) == len(self._last) and len(different) == 1 and request.refusal is None:
            [place] = different
            if fields[place].is_plain and fields[place].name == self._last[place].name:
                before, after = (b"".join([known.encoded for known in part]) for part in (fields[:place], fields[place + 1 :]))
                self._template = _Template(before, after, place, request)
        self._last = fields

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
        return _Known(encoded, name, value, is_plain(name) and valid_value(value))


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
