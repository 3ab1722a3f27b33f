"""What time does to a connection: deadlines, silence, idleness, and the drain that waits for an answer."""

from ias.transport import Status
from tests.support.http2 import ACK, PING, PREFACE, frame
from tests.unit.wire.transcript import UNARY, Peer, answer, call, failure, opened

TIMED = ("grpc-timeout", "1500m")


def test_a_deadline_counts_from_the_headers() -> None:
    peer = Peer()
    peer.now = 100.0
    [event] = peer.connection.receive(call(1, b"", UNARY, TIMED), peer.now)
    assert event.deadline == 101.5  # type: ignore[union-attr]


def test_what_is_late_ends_as_deadline_exceeded() -> None:
    peer = Peer()
    peer.says(call(1, b"", UNARY, TIMED), opened(3, "/test.Echo/Stream", TIMED), opened(5, UNARY, TIMED), opened(7))
    assert peer.waits(1.4) == []
    late = peer.waits(0.2)
    assert [event for event in late if event[0] == "aborted"] == [("aborted", 1, "deadline_exceeded"), ("aborted", 3, "deadline_exceeded")]
    heard = peer.hears()
    assert [each for each in heard if each[0] == "END"] == [failure(number, 4, "the deadline has passed") for number in (1, 3, 5)]
    assert peer.connection.live_streams == 1


def test_who_does_not_greet_is_left_alone_after_a_while() -> None:
    for words in (b"", PREFACE[:10], PREFACE):
        peer = Peer(greets=False, handshake_s=10)
        peer.says(words)
        assert peer.waits(9) == []
        assert peer.waits(1) == [("closing", "SETTINGS_TIMEOUT", "no SETTINGS came")]


def test_a_silent_peer_is_asked_and_given_up() -> None:
    peer = Peer(ping_after_s=30, ping_timeout_s=20)
    peer.says(opened(1))
    assert peer.waits(29) == []
    assert peer.hears() == []
    peer.waits(1)
    assert peer.hears() == [("PING", b"you here")]
    assert peer.waits(19) == []
    assert peer.waits(1) == [("aborted", 1, "no_error"), ("closing", "NO_ERROR", "the peer is silent")]


def test_a_peer_that_answers_is_not_given_up() -> None:
    peer = Peer(ping_after_s=30, ping_timeout_s=20)
    for _ in range(5):
        peer.waits(30)
        assert peer.hears() == [("PING", b"you here")]
        peer.now += 19
        peer.says(frame(PING, ACK, 0, b"you here"))
    assert not peer.connection.is_finished


def test_an_idle_connection_is_drained() -> None:
    peer = Peer(idle_s=100, ping_after_s=1e9)
    peer.waits(0)
    peer.says(call(1))
    peer.waits(1_000)
    peer.connection.respond(1, b"")
    peer.waits(0)
    peer.hears()
    peer.waits(99)
    assert peer.hears() == []
    peer.waits(1)
    assert [heard[0] for heard in peer.hears()] == ["GOAWAY", "PING"]


def test_a_drain_serves_what_the_peer_sent_before_it_heard() -> None:
    peer = Peer()
    peer.says(opened(1))
    peer.connection.drain(peer.now)
    assert peer.hears() == [("GOAWAY", 2**31 - 1, 0, ""), ("PING", b"draining")]
    assert peer.says(call(3)) == [("call", 3, b"ping")]
    assert peer.says(frame(PING, ACK, 0, b"draining"), call(5)) == [("call", 5, b"ping")]
    assert peer.hears() == [("GOAWAY", 5, 0, "")]
    assert peer.says(call(7)) == [("refused", 7, "refused_stream")]
    assert peer.hears() == [("RESET", 7, 7)]
    for number in (3, 5):
        peer.connection.respond(number, b"")
    assert not peer.connection.is_finished
    peer.connection.finish(1)
    assert peer.connection.is_finished
    assert [heard for heard in peer.hears() if heard[1] != 1] == [*answer(3, b""), *answer(5, b"")]


def test_a_drain_does_not_wait_for_ever_for_its_answer() -> None:
    peer = Peer(ping_timeout_s=20)
    peer.connection.drain(peer.now)
    peer.connection.drain(peer.now)
    peer.waits(1)
    assert not peer.connection.is_finished
    peer.waits(19)
    assert peer.connection.is_finished


def test_closing_ends_all_with_a_status() -> None:
    peer = Peer()
    peer.says(call(1), opened(3))
    peer.connection.close(Status.UNAVAILABLE, "the server stops")
    assert [event for event in peer.is_told() if event[0] != "refused"] == [
        ("aborted", 1, "unavailable"),
        ("aborted", 3, "unavailable"),
        ("closing", "NO_ERROR", "the server stops"),
    ]
    heard = peer.hears()
    assert [each for each in heard if each[0] == "END"] == [failure(number, 14, "the server stops") for number in (1, 3)]
    assert heard[-1] == ("GOAWAY", 3, 0, "the server stops")
    peer.connection.close(Status.UNAVAILABLE, "twice")
    assert peer.hears() == peer.waits(1) == []
