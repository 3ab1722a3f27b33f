"""Chooses by the headers of an answer how its body is read, and how it has to come to us."""

from enum import Enum

from msgspec import Struct

from extproc.bodies import Body, EncodedBody, JsonBody, OpaqueBody, SseBody, UncountedBody
from extproc.decoding import Undecodable
from extproc.dialects.chat import ChatReader
from extproc.dialects.messages import MessagesReader
from extproc.dialects.reading import StreamReader
from extproc.dialects.responses import ResponsesReader
from ias.context import RequestContext
from ias.endpoints import TOKENLESS, Endpoint


class Way(Enum):
    """How a body passes."""

    READ = 1
    """As it comes; we only look."""
    READ_WHOLE = 2
    """In one message; we only look."""
    CHANGE = 3
    """As it comes; we take parts out."""
    THROUGH_US = 4
    """The client gets what we send: we may end it."""


class Wishes(Struct, frozen=True):
    """What is to be done to the body, if it can be."""

    drops_usage: bool = False
    cuts_running: bool = False
    may_end: bool = False
    event_limit_bytes: int = 1 << 20
    buffered_json_bytes: int = 512 << 10


_MAYBE_LARGE = TOKENLESS | {Endpoint.EMBEDDINGS}


def is_short_whole(context: RequestContext) -> bool:
    """Whether the answer will come whole and, as a rule, small: then it passes through us, which spares a question of Envoy to us and its wait.

    Embeddings and tensors are large: their way is decided by the headers of the answer.
    """
    return not (context.stream or context.top_up_tokens) and context.endpoint not in _MAYBE_LARGE


def open_body(context: RequestContext, headers: dict[str, str], wishes: Wishes) -> tuple[Body, Way]:
    """Make the body of an answer with these headers."""
    if context.endpoint in TOKENLESS:
        length = _length(headers)
        short = length is not None and length <= wishes.buffered_json_bytes
        return UncountedBody(length), Way.READ_WHOLE if short else Way.READ
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        return _encoded(context, kind, coding, wishes), Way.READ
    if kind == "text/event-stream":
        edits = wishes.drops_usage or wishes.cuts_running or wishes.may_end
        body = SseBody(_reader(context, wishes), wishes.event_limit_bytes, edits=edits)
        return body, Way.THROUGH_US if wishes.may_end else Way.CHANGE if edits else Way.READ
    if _is_json(kind):
        length = _length(headers)
        short = length is not None and length <= wishes.buffered_json_bytes
        return JsonBody(wishes.event_limit_bytes), Way.READ_WHOLE if short else Way.READ
    return OpaqueBody(), Way.READ


def _encoded(context: RequestContext, kind: str, coding: str, wishes: Wishes) -> Body:
    untouched = Wishes(event_limit_bytes=wishes.event_limit_bytes)
    try:
        if kind == "text/event-stream":
            return EncodedBody(coding, SseBody(_reader(context, untouched), untouched.event_limit_bytes, edits=False))
        if _is_json(kind):
            return EncodedBody(coding, JsonBody(untouched.event_limit_bytes))
    except Undecodable:
        pass
    return OpaqueBody()


def _length(headers: dict[str, str]) -> int | None:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) <= 18 else None


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _reader(context: RequestContext, wishes: Wishes) -> StreamReader:
    match context.endpoint:
        case Endpoint.RESPONSES:
            return ResponsesReader()
        case Endpoint.MESSAGES:
            return MessagesReader()
        case endpoint:
            return ChatReader(
                chat=endpoint is not Endpoint.COMPLETIONS,
                choices=context.choices,
                drops_usage=wishes.drops_usage,
                cuts_running=wishes.cuts_running,
            )
