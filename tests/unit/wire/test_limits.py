"""Every limit, one test: what happens to who exceeds it, and that nobody else does."""

import pytest

from ias.wire.limits import Limits
from tests.support.http2 import CONTINUATION, DATA, HEADERS, PING, PRIORITY, SETTINGS, block, frame, framed, request_fields, reset, settings
from tests.unit.wire.transcript import UNARY, Peer, Told, answer, call, failure, message, opened

CALM = "ENHANCE_YOUR_CALM"


def closing(peer: Peer, *data: bytes) -> Told:
    return peer.says(*data)[-1]


def test_one_stream_too_many_is_refused_and_may_be_retried() -> None:
    peer = Peer(max_streams=2)
    assert peer.says(opened(1), call(3), call(5)) == [("opened", 1), ("call", 3, b"ping"), ("refused", 5, "refused_stream")]
    assert peer.hears() == [("RESET", 5, 7)]
    peer.connection.respond(3, b"")
    assert peer.says(call(7)) == [("call", 7, b"ping")]


def test_the_header_list_of_a_request() -> None:
    peer = Peer(max_header_bytes=1_000)
    assert peer.says(call(1, b"", UNARY, ("x-large", "a" * 500))) == [("call", 1, b"")]
    assert peer.says(call(3, b"", UNARY, ("x-large", "a" * 900))) == [("refused", 3, "resource_exhausted")]
    assert peer.hears()[0] == failure(3, 8, "the header list is too large")
    many = [("x", "")] * 40
    assert peer.says(call(5, b"", UNARY, *many)) == [("refused", 5, "resource_exhausted")]


def test_a_header_block_that_nobody_should_read_to_its_end() -> None:
    peer = Peer(max_header_bytes=1_000)
    assert closing(peer, call(1, b"", UNARY, ("x-large", "a" * 5_000))) == ("closing", CALM, "header list far above its limit")
    peer = Peer(max_header_bytes=1_000)
    pieces = [frame(HEADERS, 0, 1, bytes(1_500)), frame(CONTINUATION, 0, 1, bytes(1_500)), frame(CONTINUATION, 0, 1, bytes(1_500))]
    assert closing(peer, *pieces) == ("closing", CALM, "a header block far above its limit")


def test_continuations() -> None:
    encoded = block(request_fields(UNARY))
    parts = [frame(CONTINUATION, 0, 1, encoded[at : at + 1]) for at in range(10)]
    last = frame(CONTINUATION, 4, 1, encoded[10:])
    assert closing(Peer(max_continuations=10), frame(HEADERS, 0, 1), *parts, last)[:2] == ("closing", CALM)
    assert Peer(max_continuations=11).says(frame(HEADERS, 0, 1), *parts, last, message(1, b"a", 1)) == [("call", 1, b"a")]


@pytest.mark.parametrize("path", [UNARY, "/test.Echo/Stream"])
def test_the_size_of_a_message(path: str) -> None:
    peer = Peer(max_message_bytes=1_000)
    assert peer.says(opened(1, path), message(1, bytes(1_000), 1))[-1][0] in {"call", "ended"}
    said = peer.says(opened(3, path), frame(DATA, 0, 3, b"\0" + (1_001).to_bytes(4)))
    assert said[-1] == ("refused", 3, "resource_exhausted")
    assert "grpc-message: message of 1001 bytes; the limit is 1000" in peer.hears()[0]


def test_what_a_connection_holds_of_unfinished_and_unanswered_calls() -> None:
    peer = Peer(max_held_bytes=25_000)
    assert peer.says(call(1, bytes(10_000)), call(3, bytes(10_000)))[-1][0] == "call"
    assert peer.says(opened(5, UNARY), frame(DATA, 0, 5, framed(bytes(20_000))[:4_000])) == []
    assert peer.says(frame(DATA, 0, 5, bytes(5_000))) == [("refused", 5, "resource_exhausted")]
    peer.connection.respond(1, b"")
    assert peer.says(call(7, bytes(10_000)))[-1][0] == "call"


def test_what_waits_for_a_peer_that_does_not_read() -> None:
    peer = Peer(max_unsent_bytes=100_000)
    peer.says(opened(1), opened(3))
    peer.connection.send(1, [bytes(60_000)] * 2)  # 65,535 fit into the window
    assert peer.is_told() == []
    peer.connection.send(1, [bytes(60_000)])
    assert peer.is_told() == [("aborted", 1, "resource_exhausted"), ("refused", 1, "resource_exhausted")]
    assert peer.says(message(3, b"others live")) == [("message", 3, b"others live")]


def test_what_waits_on_a_whole_connection() -> None:
    peer = Peer(max_held_bytes=100_000)
    peer.says(*[opened(number) for number in (1, 3, 5)])
    for number in (1, 3, 5):
        peer.connection.send(number, [bytes(60_000)])
    assert peer.is_told() == [("aborted", 5, "resource_exhausted"), ("refused", 5, "resource_exhausted")]


def test_answers_that_nobody_reads() -> None:
    peer = Peer(max_held_bytes=100_000)
    peer.says(call(1), call(3), call(5))
    for number in (1, 3, 5):
        peer.connection.respond(number, bytes(70_000))
    assert peer.is_told() == [("aborted", 5, "resource_exhausted"), ("refused", 5, "resource_exhausted")]


@pytest.mark.parametrize(
    ("limit", "flood"),
    [
        ("max_pings_per_s", frame(PING, 0, 0, bytes(8))),
        ("max_settings_per_s", settings()),
        ("max_empty_frames_per_s", frame(DATA, 0, 1)),
        ("max_empty_frames_per_s", frame(PRIORITY, 0, 1, bytes(5))),
        ("max_empty_frames_per_s", frame(99, 0, 0)),
    ],
    ids=["ping", "settings", "empty data", "priority", "unknown"],
)
def test_floods(limit: str, flood: bytes) -> None:
    peer = Peer(**{limit: 10})
    peer.now = 5.0
    peer.says(opened(1))
    assert peer.says(flood * 10) == []
    peer.now = 6.0
    assert peer.says(flood * 10) == []
    assert closing(peer, flood)[:2] == ("closing", CALM)


def test_rapid_reset() -> None:
    peer = Peer(max_resets_per_s=10)
    peer.now = 5.0
    streams = range(1, 100, 2)
    rapid = [call(number) + reset(number) for number in streams]
    assert len(peer.says(*rapid[:10])) == 20
    assert closing(peer, rapid[10]) == ("closing", CALM, "too many resets")


def test_resets_that_a_peer_makes_us_send_count_too() -> None:
    peer = Peer(max_resets_per_s=10)
    peer.now = 5.0
    for number in range(1, 21, 2):
        assert peer.says(opened(number), frame(8, 0, number, bytes(4)))[-1] == ("refused", number, "protocol_error")
    assert closing(peer, opened(21), frame(8, 0, 21, bytes(4)))[:2] == ("closing", CALM)


def test_a_frame_larger_than_announced() -> None:
    assert Peer(max_frame_bytes=20_000).says(opened(1), message(1, bytes(19_995)))[-1][0] == "message"
    peer = Peer()
    assert closing(peer, opened(1), frame(DATA, 0, 1, bytes(16_385))[:9])[:2] == ("closing", "FRAME_SIZE_ERROR")


def test_many_settings_at_once_are_one() -> None:
    peer = Peer(max_settings_per_s=2)
    peer.now = 5.0
    assert peer.says(frame(SETTINGS, 0, 0, (b"\0\4" + (70_000).to_bytes(4)) * 1_000)) == []
    peer.says(call(1))
    peer.connection.respond(1, b"a")
    assert peer.hears() == [("SETTINGS ACK",), *answer(1, b"a")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_frame_bytes", 16_383), ("max_frame_bytes", 1 << 24), ("connection_window_bytes", 65_534), ("stream_window_bytes", 0), ("idle_s", 0.0)],
)
def test_limits_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]
