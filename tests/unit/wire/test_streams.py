"""The state table of streams (RFC 9113 §5.1), cell by cell: what each frame does to a stream in each state."""

import pytest

from tests.support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE, frame, reset
from tests.unit.wire.transcript import UNARY, Peer, call, headers, message, opened


def idle(_: Peer) -> None:
    pass


def open_(peer: Peer) -> None:
    peer.says(opened(5))


def half_closed(peer: Peer) -> None:
    peer.says(call(5))


def ended(peer: Peer) -> None:
    peer.says(call(5))
    peer.connection.respond(5, b"")


def reset_by_us(peer: Peer) -> None:
    peer.says(opened(5))
    peer.connection.finish(5)


def reset_by_peer(peer: Peer) -> None:
    peer.says(opened(5), reset(5))


def passed_over(peer: Peer) -> None:
    peer.says(call(7))


SAID = {
    "HEADERS": opened(5),
    "DATA": message(5, b"a"),
    "RST_STREAM": frame(RST_STREAM, 0, 5, bytes(4)),
    "WINDOW_UPDATE": frame(WINDOW_UPDATE, 0, 5, (1).to_bytes(4)),
    "PRIORITY": frame(PRIORITY, 0, 5, bytes(5)),
}
TABLE = {
    #                 HEADERS            DATA             RST_STREAM   WINDOW_UPDATE
    idle: ["opened", "PROTOCOL_ERROR", "PROTOCOL_ERROR", "PROTOCOL_ERROR"],
    open_: ["protocol_error", "message", "aborted", ""],
    half_closed: ["stream_closed", "stream_closed", "aborted", ""],
    ended: ["STREAM_CLOSED", "STREAM_CLOSED", "", ""],
    reset_by_us: ["", "", "", ""],
    reset_by_peer: ["stream_closed", "stream_closed", "", ""],
    passed_over: ["PROTOCOL_ERROR", "stream_closed", "", ""],
}
"""Nothing, an event, an error of the stream (small) or of the connection (capital)."""


@pytest.mark.parametrize("state", TABLE, ids=lambda state: state.__name__)
@pytest.mark.parametrize("kind", SAID)
def test_a_frame_in_a_state(state: object, kind: str) -> None:
    peer = Peer()
    state(peer)  # type: ignore[operator]
    peer.hears()
    told = peer.says(SAID[kind])
    expected = "" if kind == "PRIORITY" else TABLE[state][list(SAID).index(kind)]  # type: ignore[index]
    happened = ""
    if told:
        word, *rest = told[-1]
        happened = str(rest[0] if word == "closing" else rest[1] if word == "refused" else word)
    assert happened == expected
    assert peer.connection.is_finished == expected.isupper()


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("kind", [HEADERS, DATA, RST_STREAM, WINDOW_UPDATE])
def test_streams_that_a_client_cannot_have(number: int, kind: int) -> None:
    payload = {HEADERS: opened(1)[9:], DATA: b"", RST_STREAM: bytes(4), WINDOW_UPDATE: bytes(4)}[kind]
    assert Peer().says(frame(kind, END_HEADERS if kind == HEADERS else 0, number, payload))[-1][:2] == ("closing", "PROTOCOL_ERROR")


def test_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    peer = Peer()
    raised = bytearray(call(1, b"ping"))
    raised[5] |= 0x80
    assert peer.says(bytes(raised)) == [("call", 1, b"ping")]


def test_how_a_stream_was_closed_is_remembered_for_a_while() -> None:
    peer = Peer()
    for number in range(1, 6_001, 2):
        peer.says(call(number))
        peer.connection.respond(number, b"")
    peer.hears()
    assert peer.says(message(1, b"long ago")) == [("refused", 1, "stream_closed")]
    assert peer.says(message(5_001, b"lately"))[-1][:2] == ("closing", "STREAM_CLOSED")


@pytest.mark.parametrize(
    ("trailers", "told"),
    [
        (headers(1, [("x", "y")], END_HEADERS), "protocol_error"),
        (headers(1, [(":path", "/")], END_HEADERS | END_STREAM), "protocol_error"),
        (headers(1, [("X", "y")], END_HEADERS | END_STREAM), "protocol_error"),
    ],
    ids=["without end", "pseudo field", "upper case"],
)
def test_trailers_that_are_none(trailers: bytes, told: str) -> None:
    peer = Peer()
    peer.says(opened(1))
    assert peer.says(trailers) == [("aborted", 1, told), ("refused", 1, told)]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(DATA, 8, 1, b""), "FRAME_SIZE_ERROR"),
        (frame(DATA, 8, 1, b"\x05abcd"), "PROTOCOL_ERROR"),
        (frame(HEADERS, 8 | 4, 3, b"\x02a"), "PROTOCOL_ERROR"),
        (frame(HEADERS, 0x20 | 4, 3, b"abc"), "FRAME_SIZE_ERROR"),
        (frame(HEADERS, 0x20 | 4, 3, (3).to_bytes(4) + b"\x10" + opened(3)[9:]), "PROTOCOL_ERROR"),
        (frame(PRIORITY, 0, 3, (3).to_bytes(4) + b"\x10"), "PROTOCOL_ERROR"),
        (frame(PRIORITY, 0, 3, b"abc"), "FRAME_SIZE_ERROR"),
        (frame(PRIORITY, 0, 0, bytes(5)), "PROTOCOL_ERROR"),
        (frame(RST_STREAM, 0, 1, b"abc"), "FRAME_SIZE_ERROR"),
        (frame(WINDOW_UPDATE, 0, 1, b"abc"), "FRAME_SIZE_ERROR"),
        (frame(4, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
        (frame(4, 1, 0, bytes(6)), "FRAME_SIZE_ERROR"),
        (frame(4, 0, 1), "PROTOCOL_ERROR"),
        (frame(5, 4, 1, bytes(4)), "PROTOCOL_ERROR"),
        (frame(6, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
        (frame(7, 0, 1, bytes(8)), "PROTOCOL_ERROR"),
        (frame(7, 0, 0, bytes(7)), "FRAME_SIZE_ERROR"),
        (frame(9, 4, 1, b""), "PROTOCOL_ERROR"),
    ],
)
def test_frames_that_cannot_be(said: bytes, code: str) -> None:
    peer = Peer()
    peer.says(opened(1))
    assert peer.says(said)[-1][:2] == ("closing", code)


def test_padding_and_priority_are_passed_over() -> None:
    peer = Peer()
    encoded = opened(1, UNARY)[9:]
    head = frame(HEADERS, END_HEADERS | 0x08 | 0x20, 1, b"\x04" + (9).to_bytes(4) + b"\x10" + encoded + bytes(4))
    body = frame(DATA, END_STREAM | 0x08, 1, b"\x03" + message(1, b"ping")[9:] + bytes(3))
    assert peer.says(head, body) == [("call", 1, b"ping")]


@pytest.mark.parametrize(("length", "told"), [("9", "call"), ("8", "protocol_error"), ("10", "protocol_error")])
def test_the_length_of_the_content(length: str, told: str) -> None:
    assert told in Peer().says(call(1, b"ping", UNARY, ("content-length", length)))[-1]


def test_a_peer_that_goes_away_still_gets_its_answers() -> None:
    peer = Peer()
    peer.says(call(1), frame(7, 0, 0, bytes(8)))
    peer.connection.respond(1, b"pong")
    assert len(peer.hears()) == 3
