"""`ias/wire`: the table of stream states (RFC 9113 §5.1) says what `h2` says, on any history of a connection."""

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hypothesis import given
from hypothesis import strategies as st

from ias.wire.connection import Connection
from ias.wire.events import ConnectionClosing
from ias.wire.limits import Limits
from ias.wire.streams import State
from tests.support.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    block,
    frame,
    framed,
    frames,
    request_fields,
    reset,
    settings,
    window_update,
)
from tests.support.wire_echo import SHAPES, STREAM

KINDS = ("DATA", "DATA", "DATA END", "WINDOW_UPDATE", "RST_STREAM", "TRAILERS", "FINISH", "FINISH", "HEADERS")
TAKEN, RESET, CLOSED = "taken or ignored", "stream error", "connection error"
OPENING, TRAILERS = block(request_fields(STREAM)), block([("x-checksum", "1")])
ODD = (1, 3, 5, 7)
FRAMES = {
    **{f"HEADERS{end and ' END'} {n}": frame(HEADERS, END_HEADERS | bool(end), n, OPENING) for n in (*ODD, 2) for end in ("", "END")},
    **{f"TRAILERS {n}": frame(HEADERS, END_HEADERS | 1, n, TRAILERS) for n in ODD},
    **{f"DATA{end and ' END'} {n}": frame(DATA, bool(end), n, framed(b"ping")) for n in (*ODD, 2) for end in ("", "END")},
    **{f"RST_STREAM {n}": reset(n) for n in (*ODD, 2)},
    **{f"WINDOW_UPDATE {n}": window_update(n, 10) for n in (*ODD, 2)},
    **{f"FINISH {n}": b"" for n in ODD},
}
"""What may happen. FINISH is ours: the handler ends the stream with a status."""

DIFFERENT: dict[tuple[State, str], set[str]] = {
    # RFC 9113 §5.1: frames that the peer sent before it saw our RST_STREAM are ignored; h2 resets again, or reads the headers and fails.
    **{(State.RESET_BY_US, what): {RESET, CLOSED} for what in ("DATA", "DATA END", "HEADERS", "HEADERS END", "TRAILERS")},
    # §5.1: behind an END_STREAM of its own a peer must know better: a connection error STREAM_CLOSED is meant for it. h2 is milder.
    (State.ENDED, "DATA"): {RESET},
    (State.ENDED, "DATA END"): {RESET},
    # §5.1: RST_STREAM on an idle stream is a connection error; h2 forgives it on a number that is ours to open.
    (State.IDLE, "RST_STREAM"): {TAKEN, CLOSED},
    # §8.1.1: malformed requests (here: without pseudo fields, or with a second set of them) are errors of their stream; h2 drops the connection.
    (State.IDLE, "TRAILERS"): {CLOSED},
    (State.OPEN, "HEADERS"): {CLOSED},
    (State.OPEN, "HEADERS END"): {CLOSED},
}
"""Where the two differ and we are right: what h2 does instead."""


class Both:
    """The same connection twice."""

    def __init__(self) -> None:
        self.wire = Connection(Limits(), SHAPES)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        greeting = PREFACE + settings() + frame(SETTINGS, ACK, 0)
        self.wire.receive(greeting, 0)
        self.h2.receive_data(greeting)
        self.wire.data_to_send(), self.h2.data_to_send()

    def state(self, stream: int) -> State:
        return self.wire._exchange.streams.state(stream)

    def say(self, data: bytes) -> tuple[str, str]:
        """Give both a frame and return what each makes of it."""
        return self._to_wire(data), self._to_h2(data)

    def _to_wire(self, data: bytes) -> str:
        if any(isinstance(event, ConnectionClosing) for event in self.wire.receive(data, 0)):
            return CLOSED
        return _resets(self.wire.data_to_send())

    def _to_h2(self, data: bytes) -> str:
        try:
            self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            return CLOSED
        return _resets(self.h2.data_to_send())

    def finish(self, stream: int) -> None:
        """The handler ends a stream that is alive."""
        state = self.state(stream)
        if state not in (State.OPEN, State.HALF_CLOSED):
            return
        self.wire.finish(stream)
        self.wire.data_to_send()
        self.h2.send_headers(stream, [(":status", "200"), ("grpc-status", "0")], end_stream=True)
        if state is State.OPEN:
            self.h2.reset_stream(stream, 0)
        self.h2.data_to_send()


def _resets(output: bytes) -> str:
    return RESET if any(kind == RST_STREAM for kind, *_ in frames(output)) else TAKEN


@st.composite
def histories(draw: st.DrawFn) -> list[str]:
    """Mostly about streams that were opened: nearly all that is said of others is the end of a connection."""
    history: list[str] = []
    opened = 0
    for _ in range(draw(st.integers(0, 30))):
        if opened < len(ODD) and (not opened or draw(st.integers(0, 4)) == 0):
            history.append(f"HEADERS{draw(st.sampled_from(['', '', ' END']))} {ODD[opened]}")
            opened += 1
        elif draw(st.integers(0, 15)) == 0:
            history.append(draw(st.sampled_from(sorted(FRAMES))))
        else:
            history.append(f"{draw(st.sampled_from(KINDS))} {draw(st.sampled_from(ODD[:opened]))}")
    return history


@given(histories())
def test_h2_agrees_on_any_history(history: list[str]) -> None:
    both = Both()
    for name in history:
        what, number = name.rsplit(" ", 1)
        stream = int(number)
        if what == "FINISH":
            both.finish(stream)
            continue
        state = both.state(stream)
        ours, theirs = both.say(FRAMES[name])
        assert theirs in DIFFERENT.get((state, what), {ours}), f"{name} on {state.name}: wire {ours}, h2 {theirs}"
        if CLOSED in (ours, theirs) or ours != theirs:
            return
