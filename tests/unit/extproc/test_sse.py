"""Splitting an event stream."""

import pytest

from extproc.bodies import SseBody
from extproc.dialects.chat import ChatReader
from extproc.sse import Kind, Piece, Splitter, data_of, names_error
from tests.support.engine_bytes import DONE, delta, sse, usage_chunk


def stripping() -> SseBody:
    return SseBody(ChatReader(chat=True, choices=1, drops_usage=True, cuts_running=True), 1_000, edits=True)


def split(*feeds: bytes, limit: int = 1_000) -> list[tuple[Kind, bytes]]:
    splitter = Splitter(limit)
    pieces: list[Piece] = [piece for data in feeds for piece in splitter.feed(data)]
    return [*pieces, *splitter.finish()]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\n\r"])
def test_every_line_end_of_the_standard_ends_an_event(end: bytes) -> None:
    assert split(b"data: a" + end + b"data: b" + end) == [(Kind.EVENT, b"data: a" + end), (Kind.EVENT, b"data: b" + end)]


def test_one_line_end_does_not() -> None:
    assert split(b"data: a\r\ndata: b\r\n") == [(Kind.EVENT, b"data: a\r\ndata: b\r\n")]


def test_an_event_that_ends_with_cr_passes_at_once_and_a_late_lf_belongs_to_it() -> None:
    splitter = Splitter(1_000)
    assert splitter.feed(b"data: a\r\n\r") == [(Kind.EVENT, b"data: a\r\n\r")]
    assert splitter.feed(b"\ndata: b\n\n") == [(Kind.TERMINATOR, b"\n"), (Kind.EVENT, b"data: b\n\n")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_last_event_without_its_empty_line_is_read_as_clients_read_it(end: bytes) -> None:
    body = stripping()
    assert body.feed(sse(delta("a")) + DONE.rstrip() + end, end=True) is None
    assert body.is_whole()
    body = stripping()
    assert body.feed(sse(delta("a")) + sse(usage_chunk()).rstrip() + end, end=True) == sse(delta("a"))
    assert body.seen.output == 3


def test_the_late_lf_of_a_removed_event_is_removed_too() -> None:
    body = stripping()
    assert body.feed(sse(usage_chunk(), end=b"\r\n\r"), end=False) == b""
    assert body.feed(b"\n" + DONE, end=False) == DONE


def test_empty_lines_before_a_removed_event_stay() -> None:
    body = stripping()
    assert body.feed(sse(delta("a")) + b"\n" + sse(usage_chunk()) + DONE, end=True) == sse(delta("a")) + b"\n" + DONE


def test_a_large_event_is_let_through_and_not_held() -> None:
    splitter = Splitter(10)
    assert splitter.feed(b"data: 0123456789") == [(Kind.UNREAD, b"data: 0123456789")]
    assert splitter.feed(b"more\n") == [(Kind.PART, b"more")]
    assert splitter.feed(b"\ndata: b\n\n") == [(Kind.PART, b"\n\n"), (Kind.EVENT, b"data: b\n\n")]


def test_a_large_event_in_one_piece_is_not_read_either() -> None:
    assert split(b"data: 0123456789\n\n", limit=10) == [(Kind.UNREAD, b"data: 0123456789\n\n")]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\r\n\r\n", b"x"),
        (b"id: 1\ndata: x\nretry: 3\n\n", b"x"),
        (b'data: {"a":\ndata:  1}\n\n', b'{"a":\n 1}'),
        (b": keep-alive\n\n", b""),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b"\n\n", b""),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


def test_the_name_of_an_event() -> None:
    assert names_error(b"event: error\ndata: {}\n\n")
    assert not names_error(b"event: message\ndata: error\n\n")
    assert not names_error(b"data: event: error\n\n")
