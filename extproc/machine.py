"""The stream machine: follows one request through Envoy's ext_proc messages and ends it as exactly one usage event.

    start ──request headers──> (request body ──>) response headers ──> response body … ──> over
      └─ anything else first: another filter answered the client; nothing to count, everything passes (bypass)

How it ends:

* the last bytes passed: `complete`; or `upstream_error` when the engine answered 429 or 5xx (Envoy's own 503 and 504
  look the same and mean it), reported an error inside the stream, or closed a stream without `[DONE]` or usage. Other 4xx are
  `complete` without tokens: the engine did its work, the request was wrong.
* the stream stopped before: `complete` when the engine had said all (`[DONE]`, a whole JSON answer), else `client_abort`.
  Envoy does not tell a client that left from an engine that reset the connection (`end_of_stream` never comes in both).

Whatever comes after the end is answered and changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

from extproc import replies
from extproc.bodies import Body, JsonBody, OpaqueBody, SseBody
from extproc.recording import recorded
from extproc.rewrite import rewrite
from extproc.usage import Tokens
from ias import errors, headers
from ias.context import ContextError, RequestContext, SigningKeys, verify
from ias.spool_format import Opened
from ias.usage_event import Outcome, RequestRecorded
from protos.ext_proc_pb2 import HttpHeaders, ProcessingRequest


class State(Enum):
    """What the machine waits for."""

    START = auto()
    REQUEST_BODY = auto()
    RESPONSE_HEADERS = auto()
    RESPONSE_BODY = auto()
    BYPASS = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the machine is told by the settings."""

    keys: SigningKeys
    event_limit_bytes: int = 1 << 20
    """Events of a stream, and JSON answers, above this are not held or parsed in full."""
    buffered_json_bytes: int = 512 << 10
    """JSON answers up to this come whole, in one message."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one message leads to. Records come first: they are written before the replies are sent."""

    replies: tuple[bytes, ...] = ()
    opened: Opened | None = None
    event: RequestRecorded | None = None
    refused: str | None = None
    """Why the request has no valid context; may be logged."""
    last: bool = False
    """Nothing more is expected: the stream ends after the replies."""


NOTHING: Final = Step()
_CONTINUE: Final = {kind: Step((reply,)) for kind, reply in replies.CONTINUE.items()}
_UNAVAILABLE: Final = Step((replies.refusal(errors.service_unavailable("The gateway's metering")),), last=True)


class Machine:
    """One request. Times are wall clock milliseconds."""

    __slots__ = ("_body", "_context", "_first_output_ms", "_opened_ms", "_rules", "_status", "request_id", "state")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._context: RequestContext | None = None
        self._body: Body | None = None
        self._status = 0
        self._opened_ms = 0
        self._first_output_ms: int | None = None
        self.request_id = ""
        """Known from the request headers on, valid context or not."""
        self.state = State.START

    def receive(self, message: ProcessingRequest, now_ms: int) -> Step:
        """Take one message of Envoy."""
        kind = message.WhichOneof("request")
        if kind is None:
            return NOTHING  # a kind of message from the future: there is no telling what answer it wants
        handler = self._TABLE.get((self.state, kind))
        if handler is not None:
            return handler(self, message, now_ms)
        if self.state is State.START:
            self.state = State.BYPASS
        return _CONTINUE[kind]

    def unrecorded(self) -> Step:
        """The `Opened` record could not be written: the request is refused, and ends without an event."""
        self.state, self._context = State.OVER, None
        return _UNAVAILABLE

    def stop(self, now_ms: int, outcome: Outcome = Outcome.CLIENT_ABORT) -> RequestRecorded | None:
        """The stream is over without an end of the answer; return the event, unless there was one already."""
        if self.state is State.OVER or self._context is None:
            self.state = State.OVER
            return None
        if self._body is not None:
            if self._body.failed:
                outcome = Outcome.UPSTREAM_ERROR
            elif self._body.is_whole():
                outcome = Outcome.COMPLETE
        return self._event(outcome, now_ms)

    def _on_request_headers(self, message: ProcessingRequest, now_ms: int) -> Step:
        seen = _headers(message.request_headers)
        self.request_id = seen.get(headers.REQUEST_ID, "")
        try:
            if headers.CONTEXT not in seen:
                raise ContextError("no context")
            context = verify(seen[headers.CONTEXT], self._rules.keys, self.request_id, seen.get(":path", ""), now_ms)
        except ContextError as error:
            self.state = State.OVER
            return Step(_UNAVAILABLE.replies, refused=str(error), last=True)
        self._context, self._opened_ms = context, now_ms
        change = (_adds_usage(context) or context.upstream_model != context.model) and not message.request_headers.end_of_stream
        self.state = State.REQUEST_BODY if change else State.RESPONSE_HEADERS
        return Step((replies.FOLLOW_AND_CHANGE if change else replies.FOLLOW,), opened=Opened(context, now_ms))

    def _on_request_body(self, message: ProcessingRequest, _: int) -> Step:
        context = self._followed()
        self.state = State.RESPONSE_HEADERS
        model = context.upstream_model if context.upstream_model != context.model else None
        body = rewrite(message.request_body.body, include_usage=_adds_usage(context), model=model)
        return _CONTINUE["request_body"] if body is None else Step((replies.changed_request(body),))

    def _on_response_headers(self, message: ProcessingRequest, now_ms: int) -> Step:
        context, seen = self._followed(), _headers(message.response_headers)
        self._status = _number(seen.get(":status", ""))
        if self._status >= 400 or message.response_headers.end_of_stream:
            failed = self._status >= 500 or self._status == 429
            event = self._event(Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETE, now_ms)
            return Step(_CONTINUE["response_headers"].replies, event=event, last=True)
        self.state = State.RESPONSE_BODY
        kind = seen.get("content-type", "").partition(";")[0].strip().lower()
        if seen.get("content-encoding", "identity").lower() != "identity":
            self._body, reply = OpaqueBody(), replies.READ_STREAMED
        elif kind == "text/event-stream":
            strip = _adds_usage(context)
            self._body = SseBody(strip, self._rules.event_limit_bytes)
            reply = replies.CHANGE_STREAMED if strip else replies.READ_STREAMED
        elif kind == "application/json" or kind.endswith("+json"):
            self._body = JsonBody(self._rules.event_limit_bytes)
            length = seen.get("content-length", "")
            whole = length.isdecimal() and _number(length) <= self._rules.buffered_json_bytes
            reply = replies.READ_BUFFERED if whole else replies.READ_STREAMED
        else:
            self._body, reply = OpaqueBody(), replies.READ_STREAMED
        return Step((reply,))

    def _on_response_body(self, message: ProcessingRequest, now_ms: int) -> Step:
        assert self._body is not None
        chunk = message.response_body
        changed = self._body.feed(chunk.body, chunk.end_of_stream)
        if self._first_output_ms is None and self._body.has_output:
            self._first_output_ms = now_ms
        step = _CONTINUE["response_body"] if changed is None else Step((replies.changed_response(changed),))
        return Step(step.replies, event=self._end(now_ms), last=True) if chunk.end_of_stream else step

    def _on_response_trailers(self, _: ProcessingRequest, now_ms: int) -> Step:
        return Step(_CONTINUE["response_trailers"].replies, event=self._end(now_ms), last=True)

    def _end(self, now_ms: int) -> RequestRecorded:
        """The answer ended as HTTP answers end."""
        body = self._body
        truncated = isinstance(body, SseBody) and not body.is_whole()
        failed = body is not None and (body.failed or truncated)
        return self._event(Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETE, now_ms)

    def _event(self, outcome: Outcome, now_ms: int) -> RequestRecorded:
        self.state = State.OVER
        first = self._first_output_ms
        return recorded(
            self._followed(),
            outcome,
            ended_at_ms=now_ms,
            tokens=self._body.tokens if self._body is not None else Tokens(),
            http_status=self._status,
            time_to_first_token_ms=None if first is None else max(0, first - self._opened_ms),
            duration_ms=max(0, now_ms - self._opened_ms),
        )

    def _followed(self) -> RequestContext:
        assert self._context is not None, "a request is followed from its valid context on"
        return self._context

    _TABLE: ClassVar[Mapping[tuple[State, str], Callable[["Machine", ProcessingRequest, int], Step]]] = {
        (State.START, "request_headers"): _on_request_headers,
        (State.REQUEST_BODY, "request_body"): _on_request_body,
        # Envoy or an engine answers before the body is there, for example 408.
        (State.REQUEST_BODY, "response_headers"): _on_response_headers,
        (State.RESPONSE_HEADERS, "response_headers"): _on_response_headers,
        (State.RESPONSE_BODY, "response_body"): _on_response_body,
        (State.RESPONSE_BODY, "response_trailers"): _on_response_trailers,
    }


def _adds_usage(context: RequestContext) -> bool:
    # `stream_options` is refused by engines in requests that do not stream.
    return context.add_usage and context.stream


def _headers(message: HttpHeaders) -> dict[str, str]:
    return {header.key: (header.raw_value or header.value.encode()).decode("latin-1") for header in message.headers.headers}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 18 else 0
