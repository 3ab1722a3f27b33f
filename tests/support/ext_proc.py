"""Envoy's side of ext_proc: messages as Envoy sends them, replies in words, and playbooks that read as transcripts.

assert (Playbook(context) >> request_headers(context) << FOLLOW >> …).events == [...]
"""

from typing import Any, Self

import msgspec

from extproc.learning import Learned
from extproc.machine import Machine, Rules, Step
from ias.context import RequestContext, SigningKeys, sign
from ias.endpoints import Endpoint
from ias.ids import uuid7
from ias.usage_event import RequestRecorded
from protos.base_pb2 import HeaderMap, HeaderValue
from protos.ext_proc_pb2 import BodyMutation, HttpBody, HttpHeaders, HttpTrailers, ProcessingMode, ProcessingRequest, ProcessingResponse
from ratelimit.ports import Held
from tests.support.usage_events import some_id

KEYS = SigningKeys("k1", {"k1": b"1" * 32, "k0": b"0" * 32})
NOW_MS = 1_790_000_000_000

FOLLOW = "request_headers -x-ias-context +accept-encoding=identity; request body NONE, response body NONE"
FOLLOW_AND_CHANGE = "request_headers -x-ias-context +accept-encoding=identity; request body BUFFERED, response body NONE"
FOLLOW_THROUGH_US = FOLLOW.replace("response body NONE", "response body FULL_DUPLEX_STREAMED")
CHANGE_THROUGH_US = FOLLOW_AND_CHANGE.replace("response body NONE", "response body FULL_DUPLEX_STREAMED")
READ_STREAMED = "response_headers; request body NONE, response body STREAMED"
READ_BUFFERED = "response_headers; request body NONE, response body BUFFERED"
CHANGE_STREAMED = "response_headers -content-length; request body NONE, response body STREAMED"
PASS_THROUGH_US = "response_headers -content-length; request body NONE, response body FULL_DUPLEX_STREAMED"
UNAVAILABLE = "503 service_unavailable"
PASS = "response_body"


def some_context(number: int = 0, **changes: Any) -> RequestContext:
    """Make the context of an admitted, streamed chat completion; equal numbers have equal ids."""
    fields: dict[str, Any] = {
        "reservation_id": str(uuid7(NOW_MS, number)),
        "request_id": f"request-{number}",
        "path": "/v1/chat/completions",
        "signed_at_ms": NOW_MS,
        "org_id": some_id(1),
        "user_id": some_id(2),
        "key_id": some_id(3),
        "publication_id": some_id(4),
        "model": "chat",
        "upstream_model": "chat",
        "endpoint": Endpoint.CHAT_COMPLETIONS,
        "stream": True,
        "add_usage": False,
    }
    return RequestContext(**fields | changes)


def request_headers(context: RequestContext, *, end: bool = False, **changes: str | None) -> ProcessingRequest:
    """What Envoy sends first; a header named with `_` for `-` is changed, or left out when None."""
    seen: dict[str, str | None] = {
        ":path": context.path,
        "content-type": "application/json",
        "x-request-id": context.request_id,
        "x-ias-context": sign(context, KEYS),
    }
    return ProcessingRequest(request_headers=_headers(seen | {name.replace("_", "-"): value for name, value in changes.items()}, end))


def request_body(body: bytes) -> ProcessingRequest:
    return ProcessingRequest(request_body=HttpBody(body=body, end_of_stream=True))


def response_headers(status: int = 200, content_type: str | None = "text/event-stream", *, end: bool = False, **more: str) -> ProcessingRequest:
    seen = {":status": str(status), "content-type": content_type}
    return ProcessingRequest(response_headers=_headers(seen | {name.replace("_", "-"): value for name, value in more.items()}, end))


def chunk(body: bytes, *, end: bool = False) -> ProcessingRequest:
    return ProcessingRequest(response_body=HttpBody(body=body, end_of_stream=end))


def last(body: bytes = b"") -> ProcessingRequest:
    return chunk(body, end=True)


def response_trailers() -> ProcessingRequest:
    return ProcessingRequest(response_trailers=HttpTrailers())


def request_trailers() -> ProcessingRequest:
    return ProcessingRequest(request_trailers=HttpTrailers())


def _headers(seen: dict[str, str | None], end: bool) -> HttpHeaders:
    values = [HeaderValue(key=key, raw_value=value.encode()) for key, value in seen.items() if value is not None]
    return HttpHeaders(headers=HeaderMap(headers=values), end_of_stream=end)


def in_words(reply: bytes) -> str:
    """Say in one line what a reply makes Envoy do."""
    message = ProcessingResponse.FromString(reply)
    kind = message.WhichOneof("response")
    if kind == "immediate_response":
        answer = message.immediate_response
        return f"{answer.status.code} {msgspec.json.decode(answer.body)['error']['code']}"
    words = [str(kind)]
    if kind not in ("request_trailers", "response_trailers"):
        common = getattr(message, str(kind)).response
        mutation = common.header_mutation
        words += [f"-{name}" for name in mutation.remove_headers]
        words += [f"+{option.header.key}={option.header.raw_value.decode()}" for option in mutation.set_headers]
        if (changed := common.body_mutation.WhichOneof("mutation")) is not None:
            words.append(_mutation(changed, common.body_mutation))
    return " ".join(words) + (f"; {_mode(message.mode_override)}" if message.HasField("mode_override") else "")


def _mutation(kind: str, mutation: BodyMutation) -> str:
    if kind == "clear_body":
        return "cleared"
    if kind == "streamed_response":
        streamed = mutation.streamed_response
        return f"sends {streamed.body.decode()}" + (" and ends" if streamed.end_of_stream else "")
    return f"becomes {mutation.body.decode()}"


def _mode(mode: ProcessingMode) -> str:
    assert mode.request_header_mode == mode.response_header_mode == ProcessingMode.SEND, "an override repeats all fields"
    assert mode.request_trailer_mode == ProcessingMode.SKIP
    through_us = mode.response_body_mode == ProcessingMode.FULL_DUPLEX_STREAMED
    assert mode.response_trailer_mode == (ProcessingMode.SEND if through_us else ProcessingMode.SKIP)
    name = ProcessingMode.BodySendMode.Name
    return f"request body {name(mode.request_body_mode)}, response body {name(mode.response_body_mode)}"


class Playbook:
    """Plays messages to a machine. `>>` is what Envoy says; `<<` is what it must be answered, in words; time passes by 10 ms a message."""

    def __init__(self, rules: Rules | None = None, learned: Learned | None = None, *, observes: bool = False) -> None:
        self.machine = Machine(rules or Rules(KEYS), learned or Learned())
        self.observes = observes
        self.now_ms = NOW_MS
        self.steps: list[Step] = []
        self.events: list[RequestRecorded] = []

    def __rshift__(self, message: ProcessingRequest) -> Self:
        self.now_ms += 10
        if self.observes:
            message = ProcessingRequest.FromString(message.SerializeToString())
            message.observability_mode = True
        return self._took(self.machine.receive(message, self.now_ms))

    def __lshift__(self, reply: str | None) -> Self:
        """Expect one reply, or none (None)."""
        assert [in_words(message) for message in self.steps[-1].replies] == ([] if reply is None else [reply])
        return self

    def topped_up(self, answer: Held | None) -> Self:
        """The store answers what the last steps asked for."""
        self.now_ms += 1
        return self._took(self.machine.topped_up(answer, self.now_ms))

    def lose_patience(self) -> Self:
        """The store does not answer in time."""
        self.now_ms += 20
        return self._took(self.machine.lose_patience())

    def asks(self, tokens: int, *, waits: bool = False) -> Self:
        """Expect that the last step asks the store for so many tokens, and whether bytes wait for them."""
        assert (self.steps[-1].top_up, self.steps[-1].waits) == (tokens, waits)
        return self

    def stop(self) -> Self:
        """The stream ends without an end of the answer: the client has gone, or the engine."""
        self.now_ms += 10
        event = self.machine.stop(self.now_ms)
        if event is not None:
            self.events.append(event)
        return self

    def replies(self) -> list[str]:
        """The replies of the last step, in words."""
        return [in_words(message) for message in self.steps[-1].replies]

    def event_held(self) -> int:
        """What is held by now, as the event of a client that leaves here says it."""
        return self.stop().event.held_tokens

    def _took(self, step: Step) -> Self:
        self.steps.append(step)
        if step.event is not None:
            self.events.append(step.event)
        return self

    @property
    def ended(self) -> bool:
        """Whether the last step ends the stream."""
        return self.steps[-1].last

    @property
    def event(self) -> RequestRecorded:
        """The one event."""
        (event,) = self.events
        return event
