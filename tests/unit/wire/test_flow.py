"""Windows both ways (RFC 9113 §5.2): nothing is sent beyond the room given, and room is given as messages are taken."""

import pytest

from tests.support.http2 import DATA, END_STREAM, SETTINGS, frame, framed, settings, window_update
from tests.unit.wire.transcript import STREAM, UNARY, Peer, call, message, opened

KIB = 1024


def data_bytes(heard: list[tuple[object, ...]]) -> dict[object, int]:
    """Bytes of DATA by stream."""
    sizes: dict[object, int] = {}
    for _, number, data in (each for each in heard if each[0] == "DATA"):
        sizes[number] = sizes.get(number, 0) + len(data)  # type: ignore[arg-type]
    return sizes


def test_a_large_answer_goes_out_in_frames_as_room_comes() -> None:
    peer = Peer()
    peer.says(call(1))
    peer.connection.respond(1, bytes(200_000))
    heard = peer.hears()
    assert data_bytes(heard) == {1: 65_535}
    assert max(len(each[2]) for each in heard if each[0] == "DATA") == 16_384  # type: ignore[arg-type]
    peer.says(window_update(1, 1_000_000))
    assert peer.hears() == []  # the connection has no room
    peer.says(window_update(0, 100_000))
    assert data_bytes(peer.hears()) == {1: 100_000}
    peer.says(window_update(0, 100_000))
    heard = peer.hears()
    assert (data_bytes(heard), heard[-1]) == ({1: 200_005 - 165_535}, ("END", 1, "grpc-status: 0"))


def test_frames_have_the_size_of_the_peer() -> None:
    peer = Peer(max_frame_bytes=32 * KIB)
    peer.says(settings(max_frame_size=20_000, initial_window_size=1 << 20), window_update(0, 1 << 20), call(1))
    peer.hears()
    peer.connection.respond(1, bytes(50_000))
    assert [len(each[2]) for each in peer.hears() if each[0] == "DATA"] == [20_000, 20_000, 10_005]  # type: ignore[arg-type]


def test_settings_widen_and_narrow_the_streams_that_live() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=10), call(1))
    peer.connection.respond(1, bytes(95))
    assert data_bytes(peer.hears()) == {1: 10}
    peer.says(settings(initial_window_size=0), window_update(1, 10))
    assert data_bytes(peer.hears()) == {}  # 10 less and 10 more
    peer.says(settings(initial_window_size=50))
    assert data_bytes(peer.hears()) == {1: 50}
    peer.says(window_update(1, 1_000))
    assert data_bytes(peer.hears()) == {1: 40}


def test_settings_are_acknowledged_before_they_are_used() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=0), opened(1))
    peer.connection.send(1, [b"waits"])
    peer.hears()
    peer.says(settings(initial_window_size=100))
    assert peer.hears() == [("SETTINGS ACK",), ("DATA", 1, framed(b"waits"))]


def test_of_a_setting_twice_in_a_frame_the_last_one_counts() -> None:
    peer = Peer()
    twice = b"".join(b"\0\4" + size.to_bytes(4) for size in (1 << 20, 10))
    peer.says(frame(SETTINGS, 0, 0, twice), call(1))
    peer.connection.respond(1, bytes(95))
    assert data_bytes(peer.hears()) == {1: 10}


def test_a_stream_that_lost_its_room_waits_again() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=1 << 20), call(1), call(3))
    for number in (1, 3):
        peer.connection.respond(number, bytes(100_000))
    assert data_bytes(peer.hears()) == {1: 65_535}
    peer.says(settings(initial_window_size=0), window_update(0, 1 << 20))
    assert data_bytes(peer.hears()) == {}
    peer.says(window_update(3, 1 << 20))
    assert data_bytes(peer.hears()) == {3: 100_005}


def test_streams_take_turns_when_the_connection_is_narrow() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=1 << 20), call(1), call(3))
    peer.hears()
    for number in (1, 3):
        peer.connection.respond(number, bytes(300 * KIB))
    peer.hears()
    peer.says(window_update(0, 256 * KIB))
    assert data_bytes(peer.hears()) == {1: 128 * KIB, 3: 128 * KIB}


def test_who_waits_holds_up_nobody_else() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=100), window_update(0, 1 << 20), call(1), call(3))
    peer.connection.respond(1, bytes(1_000))
    peer.connection.respond(3, b"small")
    assert ("END", 3, "grpc-status: 0") in peer.hears()


def test_messages_behind_one_that_waits_keep_their_order() -> None:
    peer = Peer()
    peer.says(settings(initial_window_size=8), opened(1))
    peer.hears()
    peer.connection.send(1, [b"first", b"second"])
    peer.connection.finish(1)
    peer.says(window_update(1, 1_000))
    heard = peer.hears()
    assert b"".join(each[2] for each in heard if each[0] == "DATA") == framed(b"first") + framed(b"second")  # type: ignore[misc]
    assert ("END", 1, "grpc-status: 0") in heard


def test_a_socket_that_takes_no_more_holds_messages_and_nothing_else() -> None:
    peer = Peer()
    peer.says(opened(1), call(3))
    peer.connection.hold_messages()
    peer.connection.send(1, [b"later"])
    peer.connection.respond(3, b"later")
    assert data_bytes(peer.hears()) == {}
    peer.connection.release_messages()
    heard = peer.hears()
    assert data_bytes(heard) == {1: 10, 3: 10}
    assert heard[-1] == ("END", 3, "grpc-status: 0")


def test_room_is_given_by_halves() -> None:
    peer = Peer(stream_window_bytes=100_000, connection_window_bytes=300_000)
    piece = message(1, bytes(9_995))
    peer.says(opened(1), *[piece] * 4)
    assert peer.hears() == []
    peer.says(piece)
    assert peer.hears() == [("ROOM", 1, 50_000)]
    peer.says(*[piece] * 10)
    assert peer.hears() == [("ROOM", 1, 50_000), ("ROOM", 0, 150_000), ("ROOM", 1, 50_000)]


def test_who_does_not_read_gets_no_more_room() -> None:
    peer = Peer(stream_window_bytes=70_000)
    peer.says(settings(initial_window_size=0), opened(1))
    peer.hears()
    peer.connection.send(1, [bytes(70_000)])
    peer.says(*[message(1, bytes(9_995))] * 7)
    assert [heard for heard in peer.hears() if heard[0] == "ROOM"] == []
    assert peer.says(message(1, b"")) == [("aborted", 1, "flow_control_error"), ("refused", 1, "flow_control_error")]


def test_room_comes_back_when_it_reads() -> None:
    peer = Peer(stream_window_bytes=70_000)
    peer.says(settings(initial_window_size=0), window_update(0, 1 << 20), opened(1))
    peer.connection.send(1, [bytes(70_000)])
    peer.says(*[message(1, bytes(9_995))] * 6)
    peer.hears()
    peer.says(window_update(1, 1 << 20))
    assert ("ROOM", 1, 60_000) in peer.hears()


def test_a_window_below_the_default_counts_once_it_is_acknowledged() -> None:
    peer = Peer(stream_window_bytes=1_000)
    assert peer.says(opened(1), message(1, bytes(1_500)))[-1] == ("refused", 1, "flow_control_error")
    early = Peer(greets=False, stream_window_bytes=1_000)
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings()
    assert early.says(greeting, opened(1), message(1, bytes(1_500)))[-1][0] == "message"


def test_what_is_ignored_fills_the_window_of_the_connection_all_the_same() -> None:
    peer = Peer(connection_window_bytes=65_535)
    peer.says(opened(1))
    peer.connection.finish(1)
    peer.hears()
    peer.says(*[frame(DATA, 0, 1, bytes(16_384))] * 2)
    assert peer.hears() == [("ROOM", 0, 32_768)]


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (window_update(1, 2**31 - 1), ("refused", 1, "flow_control_error")),
        (window_update(1, 0), ("refused", 1, "protocol_error")),
        (window_update(0, 2**31 - 1), ("closing", "FLOW_CONTROL_ERROR", "window above 2^31-1")),
        (window_update(0, 0), ("closing", "PROTOCOL_ERROR", "WINDOW_UPDATE of 0")),
        (settings(initial_window_size=2**31), ("closing", "FLOW_CONTROL_ERROR", "initial window above 2^31-1")),
        (window_update(1, 1) + settings(initial_window_size=2**31 - 1), ("closing", "FLOW_CONTROL_ERROR", "window above 2^31-1")),
        (settings(max_frame_size=16_383), ("closing", "PROTOCOL_ERROR", "MAX_FRAME_SIZE out of its range")),
        (settings(enable_push=2), ("closing", "PROTOCOL_ERROR", "ENABLE_PUSH that is neither 0 nor 1")),
    ],
)
def test_windows_and_settings_that_cannot_be(said: bytes, ends: tuple[object, ...]) -> None:
    peer = Peer()
    peer.says(opened(1, STREAM))
    assert peer.says(said)[-1] == ends


def test_a_unary_message_larger_than_the_window_passes() -> None:
    peer = Peer(stream_window_bytes=20_000, max_message_bytes=1 << 20)
    peer.says(opened(1, UNARY))
    whole = framed(bytes(100_000))
    for at in range(0, len(whole), 10_000):
        last = at + 10_000 >= len(whole)
        told = peer.says(frame(DATA, END_STREAM if last else 0, 1, whole[at : at + 10_000]))
        assert last or ("ROOM", 1, 10_000) in peer.hears()
    assert told == [("call", 1, bytes(100_000))]
