"""The stream machine: follows one request through Envoy's ext_proc messages and ends it as exactly one usage event.

    start ──request headers──> (request body ──>) response headers ──> response body … ──> over
      └─ anything else first: another filter answered the client; nothing to count, everything passes (bypass)

How it ends:

* the last bytes passed: `complete`; or `upstream_error` when the engine answered 429 or 5xx (Envoy's own 503 and 504
  look the same and mean it), reported an error inside the stream, or closed a stream without `[DONE]` or usage. Other 4xx are
  `complete` without tokens: the engine did its work, the request was wrong.
* the engine answered 401 or 403: `upstream_error`. It refuses what the gateway shows it, and the client, whose key is good, gets a 502.
* the stream stopped before: `complete` when the engine had said all (`[DONE]`, a whole JSON answer), else `client_abort`.
  Envoy does not tell a client that left from an engine that reset the connection (`end_of_stream` never comes in both).
* we ended it because its hold was used up and no more was granted: `complete`; the client was told `length`.

Whatever comes after the end is answered and changes nothing. A gateway that only lets us observe (`observability_mode`) is answered
nothing at all, and nothing is changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from extproc import replies
from extproc.answers import Way, Wishes, is_short_whole, open_body
from extproc.bodies import Body, SseBody
from extproc.dialects.reading import Reading
from extproc.estimating import count, used_for_certain
from extproc.learning import Learned
from extproc.passage import Passage
from extproc.recording import recorded
from extproc.rewrite import Changes, changes_for, rewrite
from extproc.tokens import NO_TOKENS, Tokens
from ias import errors, headers
from ias.context import ContextError, RequestContext, SigningKeys, verify
from ias.endpoints import TOKENLESS
from ias.error_shapes import Shape, shape_of
from ias.spool_format import Opened
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from protos.ext_proc_pb2 import HttpHeaders, ProcessingRequest
from ratelimit.ports import Held


class State(IntEnum):
    """What the machine waits for."""

    START = auto()
    REQUEST_BODY = auto()
    RESPONSE_HEADERS = auto()
    RESPONSE_BODY = auto()
    PASSAGE = auto()
    """The body of an answer that passes through us."""
    BYPASS = auto()
    OVER = auto()
    OVER_PASSING = auto()
    """Over for us, but the rest of the answer still passes through us."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the machine is told by the settings."""

    keys: SigningKeys
    event_limit_bytes: int = 1 << 20
    """Events of a stream, and JSON answers, above this are not held or parsed in full."""
    buffered_json_bytes: int = 512 << 10
    """JSON answers up to this come whole, in one message."""


class Step(Struct, frozen=True):
    """What one message leads to. Records come first: they are written before the replies are sent."""

    replies: tuple[bytes, ...] = ()
    opened: Opened | None = None
    event: RequestRecorded | None = None
    refused: str | None = None
    """Why the request has no valid context; may be logged."""
    engine_refused: int = 0
    """401 or 403: the engine's answer to what the gateway showed it."""
    last: bool = False
    """Nothing more is expected: the stream ends after the replies."""
    top_up: int = 0
    """Ask the store to hold so many tokens more, and tell `topped_up` what it said."""
    waits: bool = False
    """Bytes wait for that answer: call `lose_patience` when it does not come in time."""


NOTHING: Final = Step()
_CONTINUE: Final = {kind: Step((reply,)) for kind, reply in replies.CONTINUE.items()}
_REFUSALS_OF_ENGINES: Final = frozenset({401, 403})
_UNAUTHORIZED: Final = {shape: replies.refusal(errors.upstream_unauthorized(), shape) for shape in Shape}
_UNAVAILABLE: Final = {shape: Step((replies.refusal(errors.service_unavailable("The gateway's metering"), shape),), last=True) for shape in Shape}
_FOLLOW: Final = {  # by whether the request changes, and whether the answer passes through us
    (False, False): replies.FOLLOW,
    (True, False): replies.FOLLOW_AND_CHANGE,
    (False, True): replies.FOLLOW_THROUGH_US,
    (True, True): replies.CHANGE_THROUGH_US,
}
_WAYS: Final = {
    Way.READ: Step((replies.READ_STREAMED,)),
    Way.READ_WHOLE: Step((replies.READ_BUFFERED,)),
    Way.CHANGE: Step((replies.CHANGE_STREAMED,)),
    Way.THROUGH_US: Step((replies.PASS_THROUGH_US,)),
}


class Machine:
    """One request. Times are wall clock milliseconds."""

    __slots__ = (
        *("_body", "_changes", "_first_output_ms", "_learned", "_observes", "_opened_ms", "_passage", "_passes", "_rules", "_running_asked"),
        *("_status", "context", "request_id", "state"),
    )

    def __init__(self, rules: Rules, learned: Learned) -> None:
        self._rules, self._learned = rules, learned
        self._changes = Changes()
        self._running_asked = False
        self._observes = False
        self._passes = False
        """The answer passes through us as it is: its headers and body come together, and are sent back together."""
        self._body: Body | None = None
        self._passage: Passage | None = None
        self._status = 0
        self._opened_ms = 0
        self._first_output_ms: int | None = None
        self.context: RequestContext | None = None
        """Of the request that is followed."""
        self.request_id = ""
        """Known from the request headers on, valid context or not."""
        self.state = State.START

    @property
    def is_over(self) -> bool:
        """Nothing more is recorded of this request."""
        return self.state in (State.OVER, State.OVER_PASSING)

    def used_tokens(self) -> int:
        """What the request has certainly used so far, by what passed of its answer: a prompt that the engine has not told of is not in it."""
        return used_for_certain(self._body.seen) if self._body is not None else 0

    def receive(self, message: ProcessingRequest, now_ms: int) -> Step:
        """Take one message of Envoy."""
        kind = message.WhichOneof("request")
        if kind is None:
            return NOTHING  # a kind of message from the future: there is no telling what answer it wants
        handler = self._TABLE.get((self.state, kind))
        if handler is None:
            if self.state is State.START:
                self.state = State.BYPASS
            return NOTHING if message.observability_mode else _CONTINUE[kind]
        step = handler(self, message, now_ms)
        if self._observes:
            return replace(step, replies=()) if step.event or step.opened or step.last else NOTHING
        return step

    def unrecorded(self) -> Step:
        """The `Opened` record could not be written: the request is refused, and ends without an event."""
        shape = _shape(self.context) if self.context is not None else Shape.OPENAI
        self.state, self.context = State.OVER, None
        return Step(last=True) if self._observes else _UNAVAILABLE[shape]

    def topped_up(self, held: Held | None, now_ms: int) -> Step:
        """The store's answer to `Step.top_up`; None: it is away."""
        if self._passage is None or self.state is not State.PASSAGE:
            return NOTHING
        out, ask, ends = self._passage.answered(held)
        if ends:
            return Step((replies.passed_on(out, end=True),), event=self._event(Outcome.COMPLETE, now_ms), last=True)
        return self._pass_on(self._passage, out, ask)

    def lose_patience(self) -> Step:
        """The store has not said in time whether it holds more: what waits passes."""
        if self._passage is None or self.state is not State.PASSAGE:
            return NOTHING
        return self._pass_on(self._passage, self._passage.lose_patience(), 0)

    def stop(self, now_ms: int, outcome: Outcome = Outcome.CLIENT_ABORT) -> RequestRecorded | None:
        """The stream is over without an end of the answer; return the event, unless there was one already."""
        if self.is_over or self.context is None:
            self.state = State.OVER
            return None
        if self._body is not None:
            whole = self._body.is_whole()  # reads what is there of a JSON answer
            if self._body.seen.failed:
                outcome = Outcome.UPSTREAM_ERROR
            elif whole:
                outcome = Outcome.COMPLETE
        return self._event(outcome, now_ms)

    def _on_request_headers(self, message: ProcessingRequest, now_ms: int) -> Step:
        seen = _headers(message.request_headers)
        self.request_id = seen.get(headers.REQUEST_ID, "")
        self._observes = message.observability_mode
        try:
            if headers.CONTEXT not in seen:
                raise ContextError("no context")
            context = verify(seen[headers.CONTEXT], self._rules.keys, self.request_id, seen.get(":path", ""), now_ms)
        except ContextError as error:
            self.state = State.OVER
            return Step(_UNAVAILABLE[shape_of(seen.get(":path", ""))].replies, refused=str(error), last=True)
        self.context, self._opened_ms = context, now_ms
        if not (message.request_headers.end_of_stream or self._observes):
            self._changes = changes_for(context)
        self._passes = is_short_whole(context) and not self._observes
        self.state = State.REQUEST_BODY if self._changes else State.RESPONSE_HEADERS
        return Step((_FOLLOW[bool(self._changes), self._passes],), opened=Opened(context, now_ms))

    def _on_request_body(self, message: ProcessingRequest, _: int) -> Step:
        self.state = State.RESPONSE_HEADERS
        rewritten = rewrite(message.request_body.body, self._changes, self._followed().endpoint)
        if rewritten is None:
            return _CONTINUE["request_body"]
        self._running_asked = rewritten.asked_running
        return Step((replies.changed_request(rewritten.body),))

    def _on_response_headers(self, message: ProcessingRequest, now_ms: int) -> Step:
        context, seen = self._followed(), _headers(message.response_headers)
        status = _number(seen.get(":status", ""))
        if 100 <= status < 200:
            return _CONTINUE["response_headers"]  # an interim answer; the real one follows
        if status in _REFUSALS_OF_ENGINES and self.state is State.RESPONSE_HEADERS:
            return self._answer_for_the_engine(context, status, now_ms)
        self._status = status
        # While we still had the request's body no engine got the request: somebody before it has answered.
        if status >= 400 or message.response_headers.end_of_stream or self.state is State.REQUEST_BODY:
            failed = status >= 500 or status == 429
            event = self._event(Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETE, now_ms)
            if not self._passes or message.response_headers.end_of_stream:
                return Step(_CONTINUE["response_headers"].replies, event=event, last=True)
            self.state = State.OVER_PASSING
            return Step((_passing_headers(seen),), event=event)
        wishes = Wishes(
            drops_usage=self._changes.include_usage,
            cuts_running=self._changes.continuous_usage and not self._running_asked,
            may_end=context.top_up_tokens > 0 and not self._observes,
            event_limit_bytes=self._rules.event_limit_bytes,
            buffered_json_bytes=self._rules.buffered_json_bytes,
        )
        self._body, way = open_body(context, seen, wishes)
        self.state = State.RESPONSE_BODY
        if self._passes:
            return Step((_passing_headers(seen),))
        if way is Way.THROUGH_US and isinstance(self._body, SseBody):
            self.state = State.PASSAGE
            self._passage = Passage(self._body, context, self._learned.of(context))
        return _WAYS[way]

    def _answer_for_the_engine(self, context: RequestContext, refusal: int, now_ms: int) -> Step:
        """The engine refuses us: nothing that the client could mend. Where we only watch, it gets the engine's own answer."""
        self._status = refusal if self._observes else errors.upstream_unauthorized().status
        event = self._event(Outcome.UPSTREAM_ERROR, now_ms)
        return Step((_UNAUTHORIZED[_shape(context)],), event=event, engine_refused=refusal, last=True)

    def _on_response_body(self, message: ProcessingRequest, now_ms: int) -> Step:
        assert self._body is not None
        chunk = message.response_body
        changed = self._body.feed(chunk.body, chunk.end_of_stream)
        if self._first_output_ms is None and self._body.seen.deltas:
            self._first_output_ms = now_ms
        if self._passes:
            step = Step((replies.passed_on(chunk.body, end=chunk.end_of_stream),))
        else:
            step = _CONTINUE["response_body"] if changed is None else Step((replies.changed_response(changed),))
        return Step(step.replies, event=self._end(now_ms), last=True) if chunk.end_of_stream else step

    def _on_rest_of_body(self, message: ProcessingRequest, _: int) -> Step:
        chunk = message.response_body
        return Step((replies.passed_on(chunk.body, end=chunk.end_of_stream),), last=chunk.end_of_stream)

    def _on_passing_body(self, message: ProcessingRequest, now_ms: int) -> Step:
        assert self._passage is not None
        assert self._body is not None
        chunk = message.response_body
        out, ask = self._passage.take(chunk.body, chunk.end_of_stream)
        if self._first_output_ms is None and self._body.seen.deltas:
            self._first_output_ms = now_ms
        if chunk.end_of_stream:
            return Step((replies.passed_on(out, end=True),), event=self._end(now_ms), last=True)
        return self._pass_on(self._passage, out, ask)

    def _on_response_trailers(self, message: ProcessingRequest, now_ms: int) -> Step:
        rest: tuple[bytes, ...] = ()
        if self._passage is not None and (out := self._passage.take(b"", end=True)[0]):
            rest = (replies.passed_on(out),)
        elif self._body is not None:
            self._body.feed(b"", end=True)
        return Step((*rest, *_CONTINUE["response_trailers"].replies), event=self._end(now_ms), last=True)

    @staticmethod
    def _pass_on(passage: Passage, out: bytes, ask: int) -> Step:
        return Step((replies.passed_on(out),) if out else (), top_up=ask, waits=passage.waits)

    def _end(self, now_ms: int) -> RequestRecorded:
        """The answer ended as HTTP answers end."""
        body = self._body
        failed = body is not None and (body.seen.failed or (body.streams and not body.is_whole()))
        return self._event(Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETE, now_ms)

    def _event(self, outcome: Outcome, now_ms: int) -> RequestRecorded:
        context = self._followed()
        duration_ms = max(0, now_ms - self._opened_ms)
        tokens = self._tokens(context, duration_ms)
        if outcome is Outcome.COMPLETE and tokens.source is UsageSource.REPORTED and self._body is not None:
            self._learned.learn(context, self._body.seen, duration_ms)
        self.state = State.OVER
        first = self._first_output_ms
        return recorded(
            context,
            outcome,
            ended_at_ms=now_ms,
            tokens=tokens,
            held_tokens=self._passage.hold.held if self._passage is not None else context.held_tokens,
            http_status=self._status,
            time_to_first_token_ms=None if first is None else max(0, first - self._opened_ms),
            duration_ms=duration_ms,
        )

    def _tokens(self, context: RequestContext, elapsed_ms: int) -> Tokens:
        """What an engine did for the request: nothing when it did not get it, or answered with an error or without a body."""
        if context.endpoint in TOKENLESS:
            return NO_TOKENS
        if self._body is not None:
            return count(context, self._body.seen, self._learned.of(context), elapsed_ms, streams=self._body.streams)
        if self.state is State.RESPONSE_HEADERS and not self._status:
            return count(context, Reading(), self._learned.of(context), elapsed_ms, streams=context.stream)
        return Tokens()

    def _followed(self) -> RequestContext:
        assert self.context is not None, "a request is followed from its valid context on"
        return self.context

    _TABLE: ClassVar[Mapping[tuple[State, str], Callable[["Machine", ProcessingRequest, int], Step]]] = {
        (State.START, "request_headers"): _on_request_headers,
        (State.REQUEST_BODY, "request_body"): _on_request_body,
        # Envoy or an engine answers before the body is there, for example 408.
        (State.REQUEST_BODY, "response_headers"): _on_response_headers,
        (State.RESPONSE_HEADERS, "response_headers"): _on_response_headers,
        (State.RESPONSE_BODY, "response_body"): _on_response_body,
        (State.RESPONSE_BODY, "response_trailers"): _on_response_trailers,
        (State.PASSAGE, "response_body"): _on_passing_body,
        (State.PASSAGE, "response_trailers"): _on_response_trailers,
        (State.OVER_PASSING, "response_body"): _on_rest_of_body,
    }


def _shape(context: RequestContext) -> Shape:
    """How the client of a request reads errors."""
    return shape_of(context.path, traditional=context.endpoint in TOKENLESS)


def _headers(message: HttpHeaders) -> dict[str, str]:
    return {header.key: (header.raw_value or header.value.encode()).decode("latin-1") for header in message.headers.headers}


def _passing_headers(seen: Mapping[str, str]) -> bytes:
    length = seen.get("content-length", "")
    return replies.kept_length(length) if length.isdecimal() and len(length) <= 18 else replies.CONTINUE["response_headers"]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 18 else 0
