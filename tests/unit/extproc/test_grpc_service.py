"""One stream of Envoy through the service: records before replies, one event, a clean end."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from extproc.grpc_service import ProcessService
from extproc.machine import Rules
from extproc.ports import SpoolUnavailable
from ias import telemetry
from ias.context import RequestContext
from ias.spool_format import Closed, Opened, Owed
from ias.transport import Status, StreamMachine
from ias.usage_event import Outcome, RequestRecorded
from protos.ext_proc_pb2 import ProcessingRequest
from ratelimit.ports import Held
from tests.support.engine_bytes import DONE, delta, sse
from tests.support.ext_proc import (
    FOLLOW,
    KEYS,
    NOW_MS,
    UNAVAILABLE,
    chunk,
    in_words,
    last,
    request_body,
    request_headers,
    response_headers,
    some_context,
)
from tests.support.waiting import until


class Journal:
    """Spool, holds, stream and transport in one: what happened, in order."""

    owed: Mapping[str, Owed] = {}

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.events: list[RequestRecorded] = []
        self.waiting: list[str] = []
        self.is_full = self.disk_fails = False
        self.answers: list[asyncio.Future[Held | None]] = []

    def open(self, opened: Opened) -> None:
        if self.is_full:
            raise SpoolUnavailable("the spool is full")
        self.waiting.append("opened")

    def close(self, closed: Closed) -> None:
        assert closed.owed is not None
        assert closed.owed.output_tokens == closed.event.output_tokens
        self.waiting.append(f"closed {closed.event.outcome}")
        self.events.append(closed.event)

    def write(self) -> None:
        entries, self.waiting = self.waiting, []
        if self.disk_fails:
            raise SpoolUnavailable("no space")
        self.entries += entries

    def grow(self, reservation_id: str, held_tokens: int) -> None:
        raise AssertionError("the holds do that")

    def settled(self, reservation_ids: Sequence[str]) -> None:
        raise AssertionError("the settlements do that")

    def is_open(self, _: str) -> bool:
        return False

    async def sync(self) -> None:
        return None

    def begin(self, context: RequestContext, used: Callable[[], int]) -> None:
        self.entries.append("held")
        self.used = used

    def end(self, reservation: str | Status = Status.OK, reason: str = "") -> None:
        """Of the hold by its reservation, or of the stream by a status: the two ports have one name for it."""
        self.entries.append("no longer held" if isinstance(reservation, str) else f"ended {reservation.name}")

    async def top_up(self, context: RequestContext, tokens: int) -> Held | None:
        self.entries.append(f"asked for {tokens}")
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def send(self, messages: Sequence[bytes]) -> None:
        self.entries += [f"sent {in_words(message)}" for message in messages]


class Carried:
    """A machine as a transport carries it: each message is one read, committed before its replies are sent."""

    def __init__(self, service: ProcessService, journal: Journal) -> None:
        self._method = service.method()
        self._machine = self._method.open(journal)

    def on_message(self, message: bytes) -> Sequence[bytes]:
        replies = self._machine.on_message(message)
        self._method.commit()
        return replies

    def on_end(self) -> None:
        self._machine.on_end()
        self._method.commit()

    def on_abort(self) -> None:
        self._machine.on_abort()
        self._method.commit()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def service(journal: Journal) -> ProcessService:
    return ProcessService(Rules(KEYS), journal, journal, lambda: NOW_MS)


@pytest.fixture
def stream(service: ProcessService, journal: Journal) -> StreamMachine:
    return Carried(service, journal)


def say(stream: StreamMachine, *messages: ProcessingRequest) -> list[str]:
    return [in_words(reply) for message in messages for reply in stream.on_message(message.SerializeToString())]


def test_the_record_is_written_before_the_answer_is_given(stream: StreamMachine, journal: Journal) -> None:
    say(stream, request_headers(some_context()))
    assert journal.entries == ["opened", "held", f"sent {FOLLOW}"]


def test_what_came_together_is_written_together_before_any_answer(service: ProcessService, journal: Journal) -> None:
    method = service.method()
    ending, beginning = method.open(journal), method.open(journal)
    say(ending, request_headers(some_context(1)))
    method.commit()
    del journal.entries[:]
    say(ending, response_headers(204, end=True))
    say(beginning, request_headers(some_context(2)))
    assert journal.waiting == ["closed complete", "opened"]
    method.commit()
    assert [entry for entry in journal.entries if entry in ("closed complete", "opened", f"sent {FOLLOW}")] == [
        "closed complete",
        "opened",
        f"sent {FOLLOW}",
    ]


def test_a_request_that_ends_before_it_is_written_is_recorded_once_and_never_held(service: ProcessService, journal: Journal) -> None:
    method = service.method()
    stream = method.open(journal)
    say(stream, request_headers(some_context()))
    stream.on_abort()
    journal.disk_fails = True
    method.commit()
    assert ("held" in journal.entries, len(journal.events)) == (False, 1)
    assert not any(entry.startswith("sent") for entry in journal.entries)


def test_the_stream_ends_after_the_event_and_the_last_reply(stream: StreamMachine, journal: Journal) -> None:
    assert len(say(stream, request_headers(some_context()), response_headers(), chunk(DONE))) == 2
    assert say(stream, last()) == []
    assert journal.entries[3:] == ["no longer held", "sent response_body", "ended OK", "closed complete"]


@pytest.mark.parametrize(("trouble", "reason"), [("is_full", "the spool is full"), ("disk_fails", "no space")])
def test_a_request_that_cannot_be_recorded_is_refused_and_not_held(stream: StreamMachine, journal: Journal, trouble: str, reason: str) -> None:
    setattr(journal, trouble, True)
    with capture_logs() as lines:
        assert say(stream, request_headers(some_context())) == []
    assert journal.entries == [f"sent {UNAVAILABLE}", "ended OK"]
    assert [line["error"] for line in lines] == [reason]
    stream.on_abort()
    assert journal.events == []


def test_a_request_without_a_context_is_refused_counted_and_logged(stream: StreamMachine, journal: Journal) -> None:
    before = telemetry.CONTEXT_REFUSED._value.get()
    with capture_logs() as lines:
        say(stream, request_headers(some_context(), x_ias_context=None))
    assert journal.entries == [f"sent {UNAVAILABLE}", "ended OK"]
    assert telemetry.CONTEXT_REFUSED._value.get() == before + 1
    assert [(line["request_id"], line["reason"]) for line in lines] == [("request-0", "no context")]


@pytest.mark.parametrize("ending", ["on_end", "on_abort"])
def test_a_stream_that_just_stops_is_recorded_once(stream: StreamMachine, journal: Journal, ending: str) -> None:
    say(stream, request_headers(some_context()), response_headers(), chunk(sse(delta("a"))))
    getattr(stream, ending)()
    stream.on_abort()
    assert [(event.outcome, event.output_tokens) for event in journal.events] == [(Outcome.CLIENT_ABORT, 1)]


def test_garbage_ends_the_stream_and_the_request(stream: StreamMachine, journal: Journal) -> None:
    say(stream, request_headers(some_context()))
    assert stream.on_message(b"\xff\xff") == ()
    assert journal.entries[3:] == ["no longer held", "ended INVALID_ARGUMENT", "closed client_abort"]


def test_one_access_line_tells_ids_and_numbers_and_nothing_of_the_content(
    service: ProcessService, stream: StreamMachine, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    context = some_context(tags={"team": "hidden"})
    with caplog.at_level("INFO"):
        say(stream, request_headers(context), response_headers(), chunk(sse(delta("secret"))), last(DONE))
        assert capfd.readouterr().err == "", "no client waits for it"
        service.report()
        service.report()
    line = json.loads(capfd.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {
        "message": "request",
        "level": "info",
        "request_id": "request-0",
        "event_id": context.reservation_id,
        "org_id": context.org_id,
        "key_id": context.key_id,
        "model": "chat",
        "endpoint": "chat_completions",
        "stream": True,
        "status": 200,
        "outcome": "complete",
        "input_tokens": 0,
        "output_tokens": 1,
        "usage_source": "counted",
        "held_tokens": 0,
        "time_to_first_token_ms": 0,
        "duration_ms": 0,
    }


async def test_draining_waits_for_live_requests(service: ProcessService, journal: Journal) -> None:
    streams = [_followed(service, journal, some_context(number)) for number in range(2)]
    draining = asyncio.ensure_future(service.drain(60))
    for stream in streams:
        await asyncio.sleep(0)
        assert not draining.done()
        say(stream, response_headers(204, end=True))
    await draining
    assert [event.outcome for event in journal.events] == [Outcome.COMPLETE] * 2


async def test_what_outlasts_the_drain_is_cut_as_lost_with_what_was_counted(service: ProcessService, journal: Journal) -> None:
    stream = _followed(service, journal, some_context())
    say(stream, response_headers(), chunk(sse(delta("a"))))
    await service.drain(0)
    assert [(event.outcome, event.output_tokens) for event in journal.events] == [(Outcome.LOST, 1)]
    assert journal.entries[-2:] == ["ended UNAVAILABLE", "closed lost"]
    stream.on_abort()
    assert len(journal.events) == 1


def _followed(service: ProcessService, journal: Journal, context: RequestContext) -> StreamMachine:
    stream = Carried(service, journal)
    say(stream, request_headers(context))
    return stream


def test_the_gauge_of_open_streams_follows_them(service: ProcessService, journal: Journal) -> None:
    stream = _followed(service, journal, some_context())
    service.report()
    assert telemetry.STREAMS_OPEN._value.get() == 1
    stream.on_end()
    service.report()
    assert telemetry.STREAMS_OPEN._value.get() == 0


GROWING = some_context(held_tokens=11, prompt_tokens=10, top_up_tokens=4, add_usage=True)


def _at_the_edge(service: ProcessService, journal: Journal) -> StreamMachine:
    """A stream of which two tokens wait for the store."""
    stream = _followed(service, journal, GROWING)
    say(stream, request_body(b"{}"), response_headers())
    assert say(stream, chunk(sse(delta("a")) * 2)) == []
    return stream


async def test_the_stores_answer_lets_waiting_bytes_pass(service: ProcessService, journal: Journal) -> None:
    service.patience_s = 60
    _at_the_edge(service, journal)
    await until(lambda: journal.answers)
    journal.answers[0].set_result(Held.GRANTED)
    await until(lambda: journal.entries[-1].startswith("sent response_body"))
    assert journal.entries[3:] == ["asked for 4", f"sent response_body sends {(sse(delta('a')) * 2).decode()}"]


async def test_a_refusal_ends_the_stream_for_the_client_and_the_engine(service: ProcessService, journal: Journal) -> None:
    service.patience_s = 60
    ended = telemetry.STREAMS_ENDED._value.get()
    stream = _at_the_edge(service, journal)
    await until(lambda: journal.answers)
    journal.answers[0].set_result(Held.OVER)
    await until(lambda: journal.entries[-1] == "closed complete")
    released, sent, ended_as = journal.entries[4:7]
    assert (released, ended_as) == ("no longer held", "ended OK")
    assert sent.endswith("data: [DONE]\n\n and ends")
    assert '"finish_reason":"length"' in sent
    assert telemetry.STREAMS_ENDED._value.get() == ended + 1
    stream.on_abort()
    assert len(journal.events) == 1


async def test_bytes_do_not_wait_for_a_store_that_does_not_answer(service: ProcessService, journal: Journal) -> None:
    service.patience_s = 0.001
    stream = _at_the_edge(service, journal)
    await until(lambda: journal.entries[-1].startswith("sent response_body"))
    assert say(stream, chunk(sse(delta("b")))) == [f"response_body sends {sse(delta('b')).decode()}"]
    journal.answers[0].set_result(None)
    stream.on_end()
    assert [(event.outcome, event.output_tokens) for event in journal.events] == [(Outcome.CLIENT_ABORT, 3)]


async def test_an_answer_of_the_store_after_the_end_changes_nothing(service: ProcessService, journal: Journal) -> None:
    stream = _at_the_edge(service, journal)
    await until(lambda: journal.answers)
    stream.on_abort()
    before = list(journal.entries)
    journal.answers[0].set_result(Held.OVER)
    await until(lambda: not service._top_ups)
    assert journal.entries == before
