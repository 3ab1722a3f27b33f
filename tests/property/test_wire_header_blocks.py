"""`ias/wire`: header blocks decode as `hpack` decodes them, whatever was seen before; Huffman strings too."""

import contextlib
from itertools import pairwise

import hpack
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from ias.wire import huffman
from ias.wire.errors import ConnectionFault, StreamFault
from ias.wire.header_blocks import HeaderBlocks

CALL = [(b":method", b"POST"), (b":path", b"/a.B/C"), (b":scheme", b"http"), (b"content-type", b"application/grpc")]
NAMES = st.sampled_from([b"traceparent", b"x", b"te", b"grpc-timeout", b"user-agent", b"x-forwarded-for", b"a" * 130])
VALUES = st.sampled_from([b"", b"trailers", b"1S", b"00-ab", b"x" * 130, b"y" * 400]) | st.binary(max_size=40)
FIELDS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=5)


def read(blocks: HeaderBlocks, block: bytes) -> object:
    """The fields of a request, or what is wrong with it."""
    try:
        return blocks.request(block).fields
    except (StreamFault, ConnectionFault) as fault:
        return type(fault), fault.code


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=10))
def test_a_block_means_the_same_whatever_came_before(requests: list[tuple[list[tuple[bytes, bytes, bool]], bool]]) -> None:
    blocks, encoder = HeaderBlocks(10_000), hpack.Encoder()
    blocks.table_is_gone()
    encoder.header_table_size = 0
    for more, is_huffman in requests:
        block = encoder.encode([*CALL, *more], huffman=is_huffman)
        fresh = HeaderBlocks(10_000)
        fresh.table_is_gone()
        expected = read(fresh, block)
        assert read(blocks, block) == expected
        assert read(blocks, block) == expected
        if isinstance(expected, tuple) and isinstance(expected[0], tuple):
            assert expected == tuple((name, value) for name, value, *_ in [*CALL, *more])


@given(st.lists(st.binary(max_size=30) | st.lists(st.sampled_from([0x83, 0x20, 0x00, 0x01, 0x61, 0x40, 0x0F, 0x7F, 0xFF]), max_size=8).map(bytes)))
def test_any_bytes_decode_as_hpack_decodes_them(all_bytes: list[bytes]) -> None:
    blocks, reference = HeaderBlocks(10_000), hpack.Decoder()
    blocks.table_is_gone()
    reference.header_table_size = reference.max_allowed_table_size = 0
    prefix = hpack.Encoder().encode(CALL[:1])
    for block in [*all_bytes, *(first + second for first, second in pairwise(all_bytes)), *(prefix + each for each in all_bytes)]:
        try:
            expected = tuple(tuple(field) for field in reference.decode(block, raw=True))
        except (hpack.HPACKError, IndexError):
            expected = None
        got = None
        with contextlib.suppress(ConnectionFault):
            got = blocks.fields(block)
        assert got == expected
        answer = read(blocks, block)
        assert (answer[0] is ConnectionFault) == (expected is None)  # type: ignore[index]


@given(st.binary(max_size=30) | st.lists(st.sampled_from([0xFF, 0xFE, 0x7F, 0x00, 0x3F]), max_size=8).map(bytes))
def test_huffman_strings(encoded: bytes) -> None:
    try:
        expected: bytes | None = decode_huffman(encoded)
    except hpack.HPACKDecodingError:
        expected = None
    try:
        got: bytes | None = huffman.decode(encoded)
    except ValueError:
        got = None
    assert got == expected
