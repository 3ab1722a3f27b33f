"""`ias/wire`: how bytes are cut into reads changes nothing."""

import itertools

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from ias.wire.events import CallReceived, Event, StreamAborted, StreamEnded
from ias.wire.limits import Limits
from tests.support.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    SETTINGS,
    block,
    frame,
    framed,
    request_fields,
    reset,
    settings,
    window_update,
)
from tests.support.wire_echo import STREAM, TIGHT, UNARY, Echo

MESSAGES = st.binary(max_size=300) | st.integers(0, 3_000).map(bytes)
METADATA = st.lists(st.tuples(st.sampled_from(["traceparent", "x-a", "x-b"]), st.text("0123456789abcdef-", max_size=60)), max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """What a client that keeps the rules may say: calls and streams, side by side, among frames that keep a connection going."""
    said = [PREFACE, settings(initial_window_size=draw(st.sampled_from([0, 1, 1_000, 65_535, 1 << 20]))), frame(SETTINGS, ACK, 0)]
    open_streams: list[int] = []
    number = -1
    for _ in range(draw(st.integers(1, 8))):
        what = draw(st.sampled_from(["call", "call", "open", "message", "pieces", "end", "reset", "ping", "room", "settings"]))
        if what in {"call", "open"} or not open_streams:
            number += 2
            fields = [*request_fields(UNARY if what == "call" else STREAM), *draw(METADATA)]
            said.append(_headers(number, block(fields), draw(st.lists(st.integers(0, 50), max_size=3))))
            if what == "call":
                said.append(frame(DATA, END_STREAM, number, framed(draw(MESSAGES))))
            else:
                open_streams.append(number)
            continue
        stream = draw(st.sampled_from(open_streams))
        message = framed(draw(MESSAGES))
        if what == "message":
            said.append(frame(DATA, 0, stream, message))
        elif what == "pieces":
            at = draw(st.integers(0, len(message)))
            said += [frame(DATA, PADDED, stream, b"\x03" + message[:at] + bytes(3)), frame(DATA, 0, stream, message[at:])]
        elif what in {"end", "reset"}:
            open_streams.remove(stream)
            said.append(frame(DATA, END_STREAM, stream) if what == "end" else reset(stream))
        else:
            said.append({"ping": frame(PING, 0, 0, b"12345678"), "room": window_update(stream, 500), "settings": settings()}[what])
    return b"".join(said)


def _headers(stream: int, encoded: bytes, cuts: list[int]) -> bytes:
    parts = []
    for cut in cuts:
        parts.append(encoded[:cut])
        encoded = encoded[cut:]
    parts.append(encoded)
    kinds = [HEADERS] + [9] * (len(parts) - 1)
    flags = [0] * (len(parts) - 1) + [END_HEADERS]
    return b"".join(frame(kind, flag, stream, part) for kind, flag, part in zip(kinds, flags, parts, strict=True))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in at}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def plain(event: Event) -> tuple[object, ...]:
    return (type(event).__name__, *(getattr(event, name) for name in event.__slots__))


@given(conversations(), st.lists(st.integers(0, 1 << 20), max_size=30), st.sampled_from([TIGHT, Limits()]))
def test_any_cut_gives_the_same_events_and_the_same_output(said: bytes, at: list[int], limits: Limits) -> None:
    whole, pieces = Echo(limits, answers=False), Echo(limits, answers=False)
    whole.receive(said)
    for piece in cut(said, at):
        pieces.receive(piece)
    assert [plain(event) for event in pieces.events] == [plain(event) for event in whole.events]
    assert pieces.sent == whole.sent


@hypothesis.settings(max_examples=60)  # of some hundred reads each
@given(conversations())
def test_byte_by_byte_gives_the_same_events_and_the_same_output(said: bytes) -> None:
    whole, single = Echo(answers=False), Echo(answers=False)
    whole.receive(said)
    for place in range(len(said)):
        single.receive(said[place : place + 1])
    assert [plain(event) for event in single.events] == [plain(event) for event in whole.events]
    assert single.sent == whole.sent


@given(conversations(), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_any_cut_gives_each_stream_the_same_answer(said: bytes, at: list[int]) -> None:
    """Replies come between the pieces: the order among streams may differ, what each gets does not."""
    whole, pieces = Echo(Limits()), Echo(Limits())
    whole.receive(said)
    for piece in cut(said, at):
        pieces.receive(piece)
    reset_by_peer = {event.stream_id for event in whole.events if isinstance(event, StreamAborted)}
    expected, got = whole.answers_by_stream(), pieces.answers_by_stream()
    assert {stream: got[stream] for stream in got if stream not in reset_by_peer} == {
        stream: expected[stream] for stream in expected if stream not in reset_by_peer
    }


def test_the_conversations_say_something() -> None:
    """The strategy reaches handlers: else the properties would hold of nothing."""
    echo = Echo()
    echo.receive(PREFACE + settings() + frame(SETTINGS, ACK, 0) + _headers(1, block(request_fields(UNARY)), [3]))
    echo.receive(frame(DATA, END_STREAM, 1, framed(b"ping")) + _headers(3, block(request_fields(STREAM)), []) + frame(DATA, END_STREAM, 3))
    assert [type(event) for event in echo.events if isinstance(event, CallReceived | StreamEnded)] == [CallReceived, StreamEnded]
