"""Header blocks in and out. That any block decodes as `hpack` decodes it is a property test."""

import hpack
import pytest

from ias.transport import Status
from ias.wire.errors import ConnectionFault, ErrorCode, StreamFault
from ias.wire.header_blocks import HeaderBlocks, literal
from ias.wire.status import RESPONSE, TRAILERS_OK, percent_encoded, trailers, trailers_only

CALL = [(b":method", b"POST"), (b":path", b"/envoy.Auth/Check"), (b":scheme", b"http"), (b"te", b"trailers"), (b"content-type", b"application/grpc")]


def encoder(table_bytes: int) -> hpack.Encoder:
    made = hpack.Encoder()
    made.header_table_size = table_bytes
    made.encode([("x", "y")])
    return made


def traced(number: int, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*CALL, (b"traceparent", b"00-%032x-%016x-00" % (number, number)), (b"tracestate", b""), *more]


def self_contained(max_header_bytes: int = 10_000) -> HeaderBlocks:
    blocks = HeaderBlocks(max_header_bytes)
    blocks.table_is_gone()
    return blocks


def test_blocks_refer_to_those_before_until_our_settings_are_acknowledged() -> None:
    blocks, peer = HeaderBlocks(10_000), hpack.Encoder()
    first = [blocks.request(peer.encode(traced(number))).fields for number in range(5)]
    peer.header_table_size = 0
    blocks.table_is_gone()
    then = [blocks.request(peer.encode(traced(number))).fields for number in range(5)]
    assert first == then == [tuple(traced(number)) for number in range(5)]


def test_a_reference_to_the_table_that_is_gone_cannot_be_decoded() -> None:
    blocks, peer = HeaderBlocks(10_000), hpack.Encoder()
    blocks.request(peer.encode(traced(1)))
    blocks.table_is_gone()
    with pytest.raises(ConnectionFault) as caught:
        blocks.request(peer.encode(traced(1)))
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_block_that_was_seen_is_found_again() -> None:
    blocks, peer = self_contained(), encoder(0)
    encoded = [peer.encode(CALL), peer.encode([*CALL, (b"x", b"y")])]
    found = [blocks.request(block) for _ in range(3) for block in encoded]
    assert found[2] is found[4]
    assert found[3] is found[5]
    assert found[4].fields == tuple(CALL)


def test_what_differs_from_the_block_before_is_decoded_and_the_rest_found() -> None:
    blocks, peer = self_contained(), encoder(0)
    for number in range(600):
        fields = traced(number, (b"grpc-timeout", b"%dm" % (number % 7))) if number % 3 else traced(number)
        request = blocks.request(peer.encode(fields))
        assert request.fields == tuple(fields)
        assert request.timeout == (None if number % 3 == 0 else pytest.approx(number % 7 / 1000))


def test_a_field_with_a_meaning_is_read_again_when_it_differs() -> None:
    blocks, peer = self_contained(), encoder(0)
    assert blocks.request(peer.encode(traced(1))).path == "/envoy.Auth/Check"
    other = traced(2)
    other[1] = (b":path", b"/other/Path")
    assert blocks.request(peer.encode(other)).path == "/other/Path"
    broken = traced(3)
    broken[-1] = (b"connection", b"close")
    with pytest.raises(StreamFault):
        blocks.request(peer.encode(broken))
    with pytest.raises(StreamFault):
        blocks.request(literal(":method", b"POST") + peer.encode(traced(4))[1:] + literal("x", b"\0"))
    assert blocks.request(peer.encode(traced(5))).fields == tuple(traced(5))


def test_the_size_of_the_list_counts_for_blocks_like_those_before_too() -> None:
    peer = encoder(0)
    limit = sum(len(name) + len(value) + 32 for name, value in [*CALL, (b"x-text", bytes(50))])
    blocks = self_contained(limit)
    refused = [blocks.request(peer.encode([*CALL, (b"x-text", b"a" * length)])).refusal is not None for length in (1, 2, 3, 50, 51, 4, 100)]
    assert refused == [False, False, False, False, True, False, True]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff",
        b"\xbe",
        b"\x00\x05ab",
        b"\x00\x01a\x05b",
        b"\x00\x81\xff\x01b",
        b"\x00\x01a\x84\xff\xff\xff\xff",
        b"\x3f\xff\xff\xff\xff\xff",
        b"\x3f\xe1\x1f",
        b"\x83\x20",
        b"\x0f",
        b"\x00",
        b"\x40\x7f",
    ],
    ids=bytes.hex,
)
@pytest.mark.parametrize("seen_before", [False, True])
def test_what_cannot_be_decoded_is_a_connection_error(block: bytes, seen_before: bool) -> None:
    blocks = self_contained()
    if seen_before:
        blocks.request(encoder(0).encode(CALL))
    with pytest.raises(ConnectionFault) as caught:
        blocks.request(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_what_is_kept_is_bounded() -> None:
    blocks, peer = self_contained(), encoder(0)
    for number in range(3_000):
        for _ in range(2):
            blocks.request(peer.encode([*CALL, (b"name-%d" % number, b"x" * (number % 50))]))
    assert max(len(cache) for cache in (blocks._requests, blocks._known, blocks._names)) <= 256


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 10_000])
def test_literals_of_any_length(length: int) -> None:
    [(name, value)] = hpack.Decoder().decode(literal("a-name", b"v" * length))
    assert (name, value) == ("a-name", "v" * length)


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (RESPONSE, [(":status", "200"), ("content-type", "application/grpc")]),
        (TRAILERS_OK, [("grpc-status", "0")]),
        (trailers(Status.OK, ""), [("grpc-status", "0")]),
        (trailers(Status.INTERNAL, ""), [("grpc-status", "13")]),
        (trailers(Status.UNAVAILABLE, "away"), [("grpc-status", "14"), ("grpc-message", "away")]),
        (trailers_only(Status.OK, ""), [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]),
    ],
)
def test_blocks_that_end_or_begin_answers(block: bytes, fields: list[tuple[str, str]]) -> None:
    assert hpack.Decoder().decode(block) == fields


@pytest.mark.parametrize(
    ("reason", "encoded"),
    [("plain text.", b"plain text."), ("100 %", b"100 %25"), ("ü", b"%C3%BC"), ("a\r\nb", b"a%0D%0Ab"), ("\x7f", b"%7F"), ("\ud800", b"?")],
)
def test_messages_are_percent_encoded(reason: str, encoded: bytes) -> None:
    assert percent_encoded(reason) == encoded


def test_a_long_message_is_cut_between_characters() -> None:
    encoded = percent_encoded("ü" * 10_000)
    assert len(encoded) == 1_024 * 3
    assert encoded.endswith(b"%C3%BC")
