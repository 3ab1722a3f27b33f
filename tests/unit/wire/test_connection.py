"""A connection from its preface to its end, as a transcript."""

import pytest

from ias.transport import Status
from tests.support.http2 import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, frame, framed, reset, settings, window_update
from tests.unit.wire.transcript import GREETING, STREAM, UNARY, Peer, answer, call, failure, headers, message, opened


def test_the_server_speaks_first_and_announces_its_limits() -> None:
    peer = Peer(greets=False, max_streams=7, stream_window_bytes=70_000, max_header_bytes=9_000, connection_window_bytes=100_000)
    announced = b"".join(name.to_bytes(2) + value.to_bytes(4) for name, value in ((1, 0), (3, 7), (4, 70_000), (5, 16_384), (6, 9_000)))
    assert peer.hears() == [("SETTINGS", announced), ("ROOM", 0, 100_000 - 65_535)]


def test_settings_are_acknowledged() -> None:
    peer = Peer(greets=False)
    peer.hears()
    assert peer.says(PREFACE, settings()) == []
    assert peer.hears() == [("SETTINGS ACK",)]


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"P", PREFACE[:-1] + b"!"])
def test_what_is_not_http2_ends_the_connection(words: bytes) -> None:
    peer = Peer(greets=False)
    peer.hears()
    said = peer.says(words)
    if PREFACE.startswith(words):
        assert (said, peer.hears()) == ([], [])
        said = peer.says(b"OST")
    assert said == [("closing", "PROTOCOL_ERROR", "this is not HTTP/2")]
    assert peer.hears() == [("GOAWAY", 0, 1, "this is not HTTP/2")]
    assert peer.connection.is_finished


def test_a_call_is_answered() -> None:
    peer = Peer()
    assert peer.says(call(1)) == [("call", 1, b"ping")]
    peer.connection.respond(1, b"pong")
    assert peer.hears() == answer(1, b"pong")
    assert peer.connection.live_streams == 0


def test_calls_of_one_read_are_told_together_and_answered_in_any_order() -> None:
    peer = Peer()
    assert peer.says(call(1, b"a"), call(3, b"b"), call(5, b"c")) == [("call", 1, b"a"), ("call", 3, b"b"), ("call", 5, b"c")]
    for stream_id in (5, 1, 3):
        peer.connection.respond(stream_id, b"%d" % stream_id)
    assert peer.hears() == [*answer(5, b"5"), *answer(1, b"1"), *answer(3, b"3")]


def test_only_the_first_answer_counts() -> None:
    peer = Peer()
    peer.says(call(1))
    peer.connection.respond(1, b"first")
    peer.connection.respond(1, b"second")
    peer.connection.finish(1, Status.INTERNAL, "third")
    assert peer.hears() == answer(1, b"first")


def test_a_failure_is_one_header_block() -> None:
    peer = Peer()
    peer.says(call(1))
    peer.connection.finish(1, Status.NOT_FOUND, "no key: 100 %")
    assert peer.hears() == [failure(1, 5, "no key: 100 %25")]


def test_the_message_of_a_call_may_come_in_pieces() -> None:
    peer = Peer()
    whole = framed(b"hello")
    assert peer.says(opened(1, UNARY), frame(DATA, 0, 1, whole[:3]), frame(DATA, 0, 1, whole[3:7])) == []
    assert peer.says(frame(DATA, 0, 1, whole[7:])) == []
    assert peer.says(frame(DATA, END_STREAM, 1)) == [("call", 1, b"hello")]


def test_a_stream_is_told_message_by_message() -> None:
    peer = Peer()
    two_and_a_half = framed(b"b") + framed(b"c") + framed(b"dd")[:-1]
    assert peer.says(opened(1)) == [("opened", 1)]
    assert peer.says(message(1, b"a"), frame(DATA, 0, 1, two_and_a_half)) == [("message", 1, text) for text in (b"a", b"b", b"c")]
    assert peer.says(frame(DATA, END_STREAM, 1, b"d")) == [("message", 1, b"dd"), ("ended", 1)]
    peer.connection.send(1, [b"x", b"y"])
    peer.connection.finish(1)
    assert peer.hears() == answer(1, b"x", b"y")


def test_a_peer_that_has_not_ended_its_side_is_asked_to_stop() -> None:
    peer = Peer()
    peer.says(opened(1))
    peer.connection.finish(1, Status.UNAVAILABLE, "busy")
    assert peer.hears() == [failure(1, 14, "busy"), ("RESET", 1, 0)]
    assert peer.says(message(1, b"too late", END_STREAM)) == []
    assert peer.hears() == []


def test_a_reset_is_an_abort_and_what_is_sent_afterwards_is_ignored() -> None:
    peer = Peer()
    peer.says(opened(1), call(3))
    assert peer.says(reset(1), reset(3)) == [("aborted", 1, "cancel"), ("aborted", 3, "cancel")]
    peer.connection.send(1, [b"x"])
    peer.connection.finish(1)
    peer.connection.respond(3, b"y")
    assert peer.hears() == []


@pytest.mark.parametrize(
    ("said", "status", "reason", "more"),
    [
        (call(1, path="/test.Echo/Nothing"), 12, "unknown method", ["grpc-accept-encoding: identity"]),
        (call(1, b"", UNARY, ("grpc-encoding", "gzip")), 12, "messages must not be compressed", ["grpc-accept-encoding: identity"]),
        (call(1, b"", UNARY, ("grpc-timeout", "soon")), 13, "malformed grpc-timeout", []),
        (opened(1, UNARY) + frame(DATA, END_STREAM, 1), 12, "a unary call has exactly one message", ["grpc-accept-encoding: identity"]),
        (
            opened(1, UNARY) + message(1, b"a") + message(1, b"b", END_STREAM),
            12,
            "a unary call has exactly one message",
            ["grpc-accept-encoding: identity"],
        ),
        (opened(1, UNARY) + frame(DATA, END_STREAM, 1, framed(b"abc")[:-1]), 13, "the stream ended in the middle of a message", []),
        (opened(1, UNARY) + frame(DATA, END_STREAM, 1, b"\1\0\0\0\1a"), 12, "messages must not be compressed", ["grpc-accept-encoding: identity"]),
        (opened(1, UNARY) + frame(DATA, END_STREAM, 1, b"\7\0\0\0\1a"), 13, "messages must not be compressed", []),
    ],
    ids=["unknown method", "encoding", "timeout", "no message", "two messages", "half a message", "compressed", "wrong flag"],
)
def test_calls_that_cannot_be_carried_out(said: bytes, status: int, reason: str, more: list[str]) -> None:
    peer = Peer()
    assert [event[0] for event in peer.says(said)] == ["refused"]
    assert next(heard for heard in peer.hears() if heard[0] == "END") == failure(1, status, reason, *more)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(":method", "GET"), (":scheme", "http"), (":path", "/")], "415"),
        ([(":method", "POST"), (":scheme", "http"), (":path", UNARY), ("content-type", "application/json")], "415"),
        ([(":method", "POST"), (":scheme", "http"), (":path", UNARY), ("content-type", "application/grpc-web")], "415"),
        ([(":method", "GET"), (":scheme", "http"), (":path", UNARY), ("content-type", "application/grpc+proto")], "405"),
        ([(":method", "CONNECT"), (":authority", "host:1")], "415"),
    ],
)
def test_requests_that_are_no_calls_get_an_http_status(fields: list[tuple[str, str]], status: str) -> None:
    peer = Peer()
    assert peer.says(headers(1, fields, END_HEADERS | END_STREAM)) == [("refused", 1, f"http_{status}")]
    head, body, end = peer.hears()
    assert head == ("HEADERS", 1, f":status: {status}", "content-type: text/plain")
    assert (body, end) == (("DATA", 1, b"not a gRPC request\n" if status == "415" else b"not a POST request\n"), ("DATA", 1, b""))


def test_a_request_that_is_no_call_is_answered_at_its_end() -> None:
    peer = Peer(stream_window_bytes=65_535)
    post = [(":method", "POST"), (":scheme", "http"), (":path", "/upload"), ("content-length", "3")]
    assert peer.says(headers(1, post), frame(DATA, 0, 1, b"ab")) == []
    assert peer.says(frame(DATA, END_STREAM, 1, b"c")) == [("refused", 1, "http_415")]
    endless = [(":method", "POST"), (":scheme", "http"), (":path", "/upload")]
    assert peer.says(headers(3, endless), *[frame(DATA, 0, 3, bytes(16_000))] * 3) == [("refused", 3, "http_415")]


def test_the_text_for_who_is_no_client_waits_for_room_too() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=4))
    get = [(":method", "POST"), (":scheme", "http"), (":path", "/")]
    peer.says(headers(1, get), frame(DATA, 0, 1, bytes(16_000)), headers(1, [("x", "y")], END_HEADERS | END_STREAM))
    assert peer.hears()[2:] == [("DATA", 1, b"not ")]
    peer.says(window_update(1, 100))
    assert peer.hears() == [("DATA", 1, b"a gRPC request\n"), ("DATA", 1, b"")]
    assert peer.connection.live_streams == 0


def test_pings_are_answered() -> None:
    peer = Peer()
    peer.says(frame(PING, 0, 0, b"12345678"), frame(PING, ACK, 0, b"87654321"))
    assert peer.hears() == [("PONG", b"12345678")]


def test_a_connection_error_aborts_all_and_names_the_last_stream() -> None:
    peer = Peer()
    peer.says(opened(1), call(3), opened(5))
    assert peer.says(frame(PING, 0, 0, b"short"), call(7)) == [
        ("aborted", 1, "frame_size_error"),
        ("aborted", 3, "frame_size_error"),
        ("aborted", 5, "frame_size_error"),
        ("closing", "FRAME_SIZE_ERROR", "PING of a broken length"),
    ]
    assert peer.hears() == [("GOAWAY", 5, 6, "PING of a broken length")]
    assert peer.says(call(9)) == []
    peer.connection.respond(3, b"nobody")
    assert peer.hears() == []


def test_the_trailers_of_a_peer_end_its_side() -> None:
    peer = Peer()
    peer.says(opened(1))
    assert peer.says(headers(1, [("x-checksum", "1")], END_HEADERS | END_STREAM)) == [("ended", 1)]


def test_what_a_lost_connection_ends() -> None:
    peer = Peer()
    peer.says(opened(1), call(3))
    peer.connection.lost()
    peer.connection.send(1, [b"nobody"])
    assert peer.connection.data_to_send() == b""
    assert peer.connection.is_finished


def test_the_first_frame_must_be_settings() -> None:
    peer = Peer(greets=False)
    assert peer.says(PREFACE, frame(PING, 0, 0, bytes(8)))[-1] == ("closing", "PROTOCOL_ERROR", "the first frame must be SETTINGS")


def test_nothing_may_come_between_the_parts_of_a_header_block() -> None:
    peer = Peer()
    assert peer.says(frame(HEADERS, 0, 1, b"\x83"), frame(PING, 0, 0, bytes(8)))[-1][1] == "PROTOCOL_ERROR"


def test_greeting_is_what_a_client_says() -> None:
    assert GREETING.startswith(PREFACE + frame(SETTINGS, 0, 0))
    assert STREAM != UNARY
