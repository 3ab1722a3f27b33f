"""However a body is cut into chunks, coded, or cut off, whatever order messages come in: the bytes, the usage and the one event are the same."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import msgspec
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from extproc.bodies import JsonBody, SseBody
from extproc.dialects.chat import ChatReader
from extproc.machine import State, Step
from extproc.rewrite import Changes, rewrite
from ias.context import RequestContext
from ias.endpoints import Endpoint
from ias.usage_event import RequestRecorded, UsageSource
from protos.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from ratelimit.ports import Held
from tests.support.engine_bytes import completion, delta, message, named, response, usage, usage_chunk
from tests.support.ext_proc import (
    NOW_MS,
    Playbook,
    chunk,
    last,
    request_body,
    request_headers,
    request_trailers,
    response_headers,
    response_trailers,
    some_context,
)

LIMIT = 400
text = st.text(max_size=30)
counts = st.integers(0, 1000)
ends = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"])


def spelled(data: object, *, tight: bool) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":") if tight else None).encode()


@st.composite
def with_running_usage(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A chunk as the engine sends it because we asked for usage in every chunk, and as it would send it otherwise."""
    members = list(delta(draw(text)).items())
    at, tight = draw(st.integers(0, len(members))), draw(st.booleans())
    running = ("usage", usage(draw(counts), draw(counts)))
    return spelled(dict([*members[:at], running, *members[at:]]), tight=tight), spelled(dict(members), tight=tight)


same = st.one_of(
    text.map(delta),
    st.just(delta("", role="assistant")),
    st.just(delta("x" * LIMIT)),
    st.just({"choices": []}),
    st.just({**delta("a"), "usage": None}),
).map(lambda data: (spelled(data, tight=False), spelled(data, tight=False)))
comments = st.sampled_from([b": ping", b"data: [DONE]", b"data: {broken", b"event: note\ndata: {}", b"id: 7"]).map(lambda raw: (raw, raw))
removed = st.builds(lambda prompt, done: (spelled(usage_chunk(prompt=prompt, completion=done), tight=False), b""), counts, counts)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """What the engine sends with the usage that we asked for, and the oracle: what it sends to a client that did not ask."""
    end = draw(ends)
    events = draw(st.lists(st.one_of(same, comments, removed, with_running_usage()), max_size=8))

    def whole(side: int) -> bytes:
        return b"".join(event[side].replace(b"\n", end[: len(end) // 2]) + end for event in events if event[side])

    return whole(0), whole(1)


@st.composite
def cuts(draw: st.DrawFn, body: bytes) -> list[bytes]:
    points = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return [body[a:b] for a, b in zip([0, *points], [*points, len(body)], strict=True)]


def sse_body(*, takes_out: bool, limit: int = LIMIT) -> SseBody:
    return SseBody(ChatReader(chat=True, choices=1, drops_usage=takes_out, cuts_running=takes_out), limit, edits=takes_out)


def passed(body: SseBody, chunks: list[bytes]) -> bytes:
    out = b""
    for number, data in enumerate(chunks):
        changed = body.feed(data, end=number == len(chunks) - 1)
        out += data if changed is None else changed
    return out


@given(st.data(), streams(), st.sampled_from([b"", b"data: tail", b"data: tail\n"]))
def test_a_client_that_did_not_ask_gets_what_the_engine_would_have_sent(data: st.DataObject, stream: tuple[bytes, bytes], tail: bytes) -> None:
    sent, oracle = stream
    chunks = data.draw(cuts(sent + tail))
    whole, split = sse_body(takes_out=True), sse_body(takes_out=True)

    assert passed(whole, [b"".join(chunks)]) == passed(split, chunks) == oracle + tail
    assert (whole.seen, whole.is_whole()) == (split.seen, split.is_whole())


@given(st.data(), streams())
def test_without_stripping_no_byte_changes_and_the_usage_is_the_same(data: st.DataObject, stream: tuple[bytes, bytes]) -> None:
    chunks = data.draw(cuts(stream[0]))
    stripped, untouched = sse_body(takes_out=True), sse_body(takes_out=False)
    assert all(untouched.feed(part, end=False) is None for part in chunks)
    passed(stripped, chunks)
    assert stripped.seen == untouched.seen


@given(st.binary(max_size=300), st.data())
def test_any_bytes_pass_whatever_they_are(body: bytes, data: st.DataObject) -> None:
    assert passed(sse_body(takes_out=True, limit=20), data.draw(cuts(body))) == body


@given(st.data(), st.integers(10, 500))
def test_a_json_answer_reads_the_same_in_any_pieces(data: st.DataObject, limit: int) -> None:
    body = completion(prompt=17, completion=4, cached=2)
    whole, split = JsonBody(limit), JsonBody(limit)
    whole.feed(body, end=True)
    chunks = data.draw(cuts(body))
    for number, part in enumerate(chunks):
        split.feed(part, end=number == len(chunks) - 1)
    assert (whole.seen.input, whole.seen.output, whole.seen.cached_input) == (17, 4, 2)
    assert whole.seen == split.seen


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
ANSWERS: dict[Endpoint, bytes] = {
    Endpoint.CHAT_COMPLETIONS: b"".join(spelled(data, tight=True) + b"\n\n" for data in (delta("a"), delta("b"), usage_chunk()))
    + b"data: [DONE]\n\n",
    Endpoint.RESPONSES: b"".join(map(named, response())),
    Endpoint.MESSAGES: b"".join(map(named, message())),
}


def counted(context: RequestContext, chunks: list[bytes], coding: str = "identity", *, observes: bool = False, ends: bool = True) -> RequestRecorded:
    """The event of a stream that came in these chunks."""
    played = Playbook(observes=observes) >> request_headers(context) >> response_headers(200, content_encoding=coding)
    for part in chunks:
        played >>= chunk(part)
    return msgspec.structs.replace((played >> last() if ends else played.stop()).event, ended_at_ms=0, duration_ms=0, time_to_first_token_ms=None)


@given(st.data(), st.sampled_from(sorted(ANSWERS)), st.sampled_from(sorted(CODINGS)), st.booleans())
def test_the_event_is_the_same_in_any_pieces_coding_and_profile(data: st.DataObject, endpoint: Endpoint, coding: str, observes: bool) -> None:
    context = some_context(endpoint=endpoint)
    event = counted(context, data.draw(cuts(CODINGS[coding](ANSWERS[endpoint]))), coding, observes=observes)
    assert event == counted(context, [ANSWERS[endpoint]])
    assert (event.input_tokens, event.output_tokens, event.usage_source, event.outcome) == (11, 3, UsageSource.REPORTED, "complete")


@given(st.data(), st.sampled_from(sorted(ANSWERS)), st.booleans())
def test_a_stream_cut_off_anywhere_counts_the_same_in_any_pieces_and_never_nothing_for_output(
    data: st.DataObject, endpoint: Endpoint, observes: bool
) -> None:
    answer = ANSWERS[endpoint]
    seen = answer[: data.draw(st.integers(0, len(answer)))]
    context = some_context(endpoint=endpoint, held_tokens=50, prompt_tokens=11)
    event = counted(context, data.draw(cuts(seen)), observes=observes, ends=False)
    assert event == counted(context, [seen], ends=False)
    assert event.input_tokens == 11
    assert event.output_tokens > 0 or not _a_delta_has_passed(endpoint, seen)


def _a_delta_has_passed(endpoint: Endpoint, seen: bytes) -> bool:
    marks = {Endpoint.CHAT_COMPLETIONS: b'"content":"a"', Endpoint.RESPONSES: b".delta", Endpoint.MESSAGES: b"thinking_delta"}
    _, mark, behind = seen.partition(marks[endpoint])
    return bool(mark) and b"\n\n" in behind


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(text, json_values, max_size=6),
    st.builds(Changes, st.booleans(), st.booleans(), st.none() | text, st.integers(0, 99)),
    st.booleans(),
)
def test_a_rewritten_body_keeps_every_other_member_byte_for_byte(members: dict[str, Any], changes: Changes, spaced: bool) -> None:
    separators = (", ", " : ") if spaced else (",", ":")
    body = json.dumps({**members, "stream_options": {"x": 1}}, separators=separators).encode()
    before: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])

    changed = rewrite(body, changes, Endpoint.CHAT_COMPLETIONS)
    assert changed is not None
    after: dict[str, msgspec.Raw] = msgspec.json.decode(changed.body, type=dict[str, msgspec.Raw])

    options = changes.include_usage or changes.continuous_usage
    touched = ({"stream_options"} if options else set()) | (set() if changes.model is None else {"model"})
    touched |= {"max_completion_tokens", "max_tokens"} if changes.output_cap else set()
    assert {name: bytes(raw) for name, raw in after.items() if name not in touched} == {
        name: bytes(raw) for name, raw in before.items() if name not in touched
    }
    assert list(after)[: len(before)] == list(before)
    if options:
        asked = {"include_usage": changes.include_usage, "continuous_usage_stats": changes.continuous_usage}
        assert json.loads(bytes(after["stream_options"])) == {"x": 1} | {name: True for name, wanted in asked.items() if wanted}
    if changes.model is not None:
        assert json.loads(bytes(after["model"])) == changes.model
    if changes.output_cap:
        assert any(bytes(after.get(name, b"")) == str(changes.output_cap).encode() for name in ("max_completion_tokens", "max_tokens"))


STREAM = some_context(add_usage=True)
GROWING = some_context(add_usage=True, held_tokens=3, prompt_tokens=1, top_up_tokens=2)
messages = st.sampled_from(
    [
        request_headers(STREAM),
        request_headers(STREAM, x_ias_context="forged"),
        request_body(b'{"model":"chat"}'),
        request_trailers(),
        response_headers(100),
        response_headers(),
        response_headers(200, "application/json", content_length="10"),
        response_headers(200, content_encoding="gzip"),
        response_headers(500, "text/plain"),
        response_headers(200, end=True),
        chunk(b"data: {"),
        chunk(b"\n\ndata: [DONE]\n\n"),
        chunk(spelled(delta("abc"), tight=True) + b"\n\n"),
        chunk(b"", end=True),
        response_trailers(),
        ProcessingRequest(),
    ]
)
answers = st.sampled_from([None, *Held])


@given(st.lists(messages | answers, max_size=14), st.sampled_from([None, STREAM, GROWING]), st.booleans())
def test_any_sequence_of_messages_ends_as_one_event_exactly_when_it_was_opened(
    sequence: list[ProcessingRequest | Held | None], valid_first: RequestContext | None, observes: bool
) -> None:
    played = Playbook(observes=observes)
    if valid_first is not None:
        played >>= request_headers(valid_first)
    for said in sequence:
        if isinstance(said, ProcessingRequest):
            played >>= said
        elif played.steps and played.machine.state is State.PASSAGE:
            played.topped_up(said)
            played.lose_patience()
    played.stop().stop()

    opened = [step.opened for step in played.steps if step.opened is not None]
    assert len(opened) <= 1
    assert [event.event_id for event in played.events] == [record.context.reservation_id for record in opened]
    assert all(event.ended_at_ms > NOW_MS for event in played.events)
    assert all(_answered_once(step) for step in played.steps)
    assert not observes or all(step.replies == () and step.top_up == 0 for step in played.steps)


def _answered_once(step: Step) -> bool:
    kinds = [ProcessingResponse.FromString(reply).WhichOneof("response") for reply in step.replies]
    return len(kinds) <= 1 or kinds == ["response_body", "response_trailers"]


@given(st.data(), st.integers(1, 8), st.integers(1, 40), st.lists(answers, max_size=12))
def test_a_stream_that_passes_through_us_is_whole_or_ends_well_formed(data: st.DataObject, step: int, tokens: int, said: list[Held | None]) -> None:
    pieces = [spelled(delta(f"t{number}"), tight=True) + b"\n\n" for number in range(tokens)]
    whole = b"".join([*pieces, spelled(usage_chunk(prompt=2, completion=tokens), tight=True), b"\n\ndata: [DONE]\n\n"])
    oracle = b"".join([*pieces, b"data: [DONE]\n\n"])
    context = some_context(add_usage=True, held_tokens=4, prompt_tokens=2, top_up_tokens=step)
    played = Playbook() >> request_headers(context) >> request_body(b"{}") >> response_headers()
    granted, out = 0, b""

    for part in data.draw(cuts(whole)):
        played >>= chunk(part)
        out += _sent(played)
        while played.machine.state is State.PASSAGE and (asked := played.steps[-1].top_up):
            answer = said.pop() if said else Held.GRANTED
            granted += asked if answer in (Held.GRANTED, Held.UNKNOWN) else 0
            played.topped_up(answer)
            out += _sent(played)
        if played.machine.state is not State.PASSAGE:
            break
    if played.machine.state is State.PASSAGE:
        played >>= last()
        out += _sent(played)
        assert out == oracle
        assert played.event.output_tokens == tokens
        return
    # Ended by us: whole events of the engine, then `length`, then the end.
    ours = out.rfind(b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},')
    assert oracle.startswith(out[:ours])
    assert out[ours:].endswith(b'"finish_reason":"length"}]}\n\ndata: [DONE]\n\n')
    assert out[:ours].count(b"data: ") == played.event.output_tokens
    assert played.event.output_tokens + 2 > 4 + granted, "not before its hold is used up"


def _sent(played: Playbook) -> bytes:
    replies = [ProcessingResponse.FromString(reply) for reply in played.steps[-1].replies]
    return b"".join(reply.response_body.response.body_mutation.streamed_response.body for reply in replies)
