"""`ias/wire`: whatever a peer sends, it gets an answer or an error. Never an exception, a hang, or more memory than the limits allow."""

import functools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.wire import play
from tests.support.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    framed,
    request_fields,
    settings,
)
from tests.support.wire_echo import STREAM, TIGHT, UNARY, Echo

FOUND = sorted((Path(__file__).parents[1] / "fuzz" / "corpus" / "wire").iterdir())
HANDSHAKE = PREFACE + settings() + frame(SETTINGS, ACK, 0)
BLOCKS = [block(request_fields(path)) for path in (UNARY, STREAM, "/nobody")]
MESSAGES = st.binary(max_size=300).map(framed) | st.integers(0, 5_000).map(lambda size: framed(bytes(size)))
Step = bytes | int | float
WILD = st.one_of(
    st.builds(frame, st.integers(0, 11), st.integers(0, 255), st.integers(0, 30), st.binary(max_size=60)),
    st.binary(max_size=30),
    st.integers(16_380, 16_390).map(lambda size: frame(DATA, 0, 1, bytes(size))),
)


def u32(least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.integers(least, most).map(lambda value: value.to_bytes(4, "big"))


@functools.cache
def on_stream(stream: int) -> st.SearchStrategy[bytes]:
    """What may be said of a stream that was opened once, whether it makes sense now or not."""
    return st.one_of(
        st.builds(frame, st.just(DATA), st.sampled_from([0, 0, 0, 1]), st.just(stream), MESSAGES | st.binary(max_size=20)),
        st.builds(frame, st.just(DATA), st.just(8), st.just(stream), st.binary(max_size=30).map(lambda data: b"\5" + data + bytes(5))),
        st.builds(frame, st.just(RST_STREAM), st.just(0), st.just(stream), u32(0, 14)),
        st.builds(frame, st.just(WINDOW_UPDATE), st.just(0), st.sampled_from([stream, 0]), u32(0, 100_000)),
        st.builds(frame, st.just(PRIORITY), st.just(0), st.just(stream), st.binary(min_size=5, max_size=5)),
        st.builds(frame, st.just(HEADERS), st.sampled_from([4, 5]), st.just(stream), st.sampled_from([*BLOCKS, block([("x-end", "1")])])),
    )


OF_THE_CONNECTION = st.one_of(
    st.builds(frame, st.just(SETTINGS), st.just(0), st.just(0), u32(0, 5_000).map(lambda size: b"\0\4" + size)),
    st.builds(frame, st.just(PING), st.sampled_from([0, 1]), st.just(0), st.sampled_from([b"draining", b"whatever"])),
    st.builds(frame, st.integers(10, 20), st.integers(0, 255), st.just(0), st.binary(max_size=20)),
    st.integers(0, 2),
    st.floats(0, 3),
)


@st.composite
def soups(draw: st.DrawFn) -> list[Step]:
    """Mostly what makes sense, so that what does not comes in the middle of something."""
    steps: list[Step] = []
    opened = 0
    for _ in range(draw(st.integers(0, 25))):
        choice = draw(st.integers(0, 19))
        if choice == 0:
            steps.append(draw(WILD))
        elif choice < 4:
            steps.append(draw(OF_THE_CONNECTION))
        elif choice < 10 or not opened:
            opened += 1
            encoded, cut = draw(st.sampled_from(BLOCKS)), draw(st.integers(0, 200))
            if cut < 20:
                rest = frame(CONTINUATION, 4, 2 * opened - 1, encoded[cut:])
                steps += [frame(HEADERS, 0, 2 * opened - 1, encoded[:cut]), rest]
            else:
                steps.append(frame(HEADERS, 5 if cut == 20 else 4, 2 * opened - 1, encoded))
        else:
            steps.append(draw(on_stream(2 * draw(st.integers(max(1, opened - 10), opened)) - 1)))
    return steps


@given(soups(), st.booleans())
def test_any_soup_of_frames_is_answered(steps: list[Step], greeted: bool) -> None:
    echo = Echo(TIGHT)
    if greeted:
        echo.receive(HANDSHAKE)
    for step in steps:
        if isinstance(step, bytes):
            echo.receive(step)
        elif isinstance(step, int):
            echo.command(step)
        else:
            echo.tick(step)
    echo.tick(1e9)  # deadlines, idle times, silence: at last it is over
    echo.tick(2e9)
    assert echo.connection.is_finished
    assert echo.connection.live_streams == 0


@given(st.binary(max_size=2_000))
def test_any_bytes_are_answered(data: bytes) -> None:
    echo = Echo(TIGHT)
    echo.receive(data)
    echo.receive(data)
    assert echo.connection.live_streams == 0


@pytest.mark.parametrize("found", FOUND, ids=lambda path: path.name)
def test_what_fuzzing_found_stays_found(found: Path) -> None:
    play(found.read_bytes())
