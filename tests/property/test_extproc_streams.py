"""However a body is cut into chunks, whatever order messages come in: the bytes, the usage and the one event are the same."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from extproc.bodies import JsonBody, SseBody
from extproc.machine import Step
from extproc.rewrite import rewrite
from protos.ext_proc_pb2 import ProcessingRequest
from tests.support.engine_bytes import completion, delta, usage, usage_chunk
from tests.support.ext_proc import (
    NOW_MS,
    Playbook,
    chunk,
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

kept = st.one_of(
    text.map(delta),
    st.just(delta("", role="assistant")),
    st.builds(lambda content, prompt, done: {**delta(content), "usage": usage(prompt, done)}, text, counts, counts),
    st.just(delta("x" * LIMIT)),
    st.just({"choices": []}),
).map(lambda data: b"data: " + json.dumps(data, ensure_ascii=False).encode())
comments = st.sampled_from([b": ping", b"data: [DONE]", b"data: {broken", b"event: note\ndata: {}", b"id: 7"])
removed = st.builds(lambda prompt, done: b"data: " + json.dumps(usage_chunk(prompt=prompt, completion=done)).encode(), counts, counts)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Events with one kind of line end, each with whether a client that did not ask for usage gets it."""
    end = draw(ends)
    events = draw(
        st.lists(st.one_of(kept.map(lambda e: (e, True)), comments.map(lambda e: (e, True)), removed.map(lambda e: (e, False))), max_size=8)
    )
    return [(event.replace(b"\n", end[: len(end) // 2]) + end, stays) for event, stays in events]


@st.composite
def cuts(draw: st.DrawFn, body: bytes) -> list[bytes]:
    points = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return [body[a:b] for a, b in zip([0, *points], [*points, len(body)], strict=True)]


def passed(body: SseBody, chunks: list[bytes]) -> bytes:
    out = b""
    for number, data in enumerate(chunks):
        changed = body.feed(data, end=number == len(chunks) - 1)
        out += data if changed is None else changed
    return out


@given(st.data(), streams(), st.sampled_from([b"", b"data: tail", b"data: tail\n"]))
def test_a_client_gets_the_engines_bytes_without_the_usage_chunk(data: st.DataObject, stream: list[tuple[bytes, bool]], tail: bytes) -> None:
    chunks = data.draw(cuts(b"".join(event for event, _ in stream) + tail))
    whole = SseBody(strip=True, event_limit=LIMIT)
    split = SseBody(strip=True, event_limit=LIMIT)

    assert passed(whole, [b"".join(chunks)]) == passed(split, chunks) == b"".join(event for event, stays in stream if stays) + tail
    assert (whole.tokens, whole.is_whole(), whole.failed) == (split.tokens, split.is_whole(), split.failed)


@given(st.data(), streams())
def test_without_stripping_no_byte_changes_and_the_usage_is_the_same(data: st.DataObject, stream: list[tuple[bytes, bool]]) -> None:
    chunks = data.draw(cuts(b"".join(event for event, _ in stream)))
    stripped, untouched = SseBody(strip=True, event_limit=LIMIT), SseBody(strip=False, event_limit=LIMIT)
    assert all(untouched.feed(part, end=False) is None for part in chunks)
    passed(stripped, chunks)
    assert stripped.tokens == untouched.tokens


@given(st.binary(max_size=300), st.data())
def test_any_bytes_pass_whatever_they_are(body: bytes, data: st.DataObject) -> None:
    assert passed(SseBody(strip=True, event_limit=20), data.draw(cuts(body))) == body


@given(st.data(), st.integers(10, 500))
def test_a_json_answer_reads_the_same_in_any_pieces(data: st.DataObject, limit: int) -> None:
    body = completion(prompt=17, completion=4, cached=2)
    whole, split = JsonBody(limit), JsonBody(limit)
    whole.feed(body, end=True)
    chunks = data.draw(cuts(body))
    for number, part in enumerate(chunks):
        split.feed(part, end=number == len(chunks) - 1)
    assert (whole.tokens.input, whole.tokens.output, whole.tokens.cached_input) == (17, 4, 2)
    assert whole.tokens == split.tokens


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(text, json_values, max_size=6), st.booleans(), st.none() | text, st.booleans())
def test_a_rewritten_body_keeps_every_other_member_byte_for_byte(
    members: dict[str, Any], include_usage: bool, model: str | None, spaced: bool
) -> None:
    separators = (", ", " : ") if spaced else (",", ":")
    body = json.dumps({**members, "stream_options": {"x": 1}}, separators=separators).encode()
    before: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])

    changed = rewrite(body, include_usage=include_usage, model=model)
    assert changed is not None
    after: dict[str, msgspec.Raw] = msgspec.json.decode(changed, type=dict[str, msgspec.Raw])

    touched = ({"stream_options"} if include_usage else set()) | (set() if model is None else {"model"})
    assert {name: bytes(raw) for name, raw in after.items() if name not in touched} == {
        name: bytes(raw) for name, raw in before.items() if name not in touched
    }
    assert list(after)[: len(before)] == list(before)
    if include_usage:
        assert json.loads(bytes(after["stream_options"])) == {"x": 1, "include_usage": True}
    if model is not None:
        assert json.loads(bytes(after["model"])) == model


STREAM = some_context(add_usage=True)
messages = st.sampled_from(
    [
        request_headers(STREAM),
        request_headers(STREAM, x_ias_context="forged"),
        request_body(b'{"model":"chat"}'),
        request_trailers(),
        response_headers(),
        response_headers(200, "application/json", content_length="10"),
        response_headers(500, "text/plain"),
        response_headers(200, end=True),
        chunk(b"data: {"),
        chunk(b"\n\ndata: [DONE]\n\n"),
        chunk(b"", end=True),
        response_trailers(),
        ProcessingRequest(),
    ]
)


@given(st.lists(messages, max_size=12), st.booleans())
def test_any_sequence_of_messages_ends_as_one_event_exactly_when_it_was_opened(sequence: list[ProcessingRequest], valid_first: bool) -> None:
    played = Playbook()
    for message in [request_headers(STREAM), *sequence] if valid_first else sequence:
        played >>= message
    played.stop().stop()

    opened = [step.opened for step in played.steps if step.opened is not None]
    assert len(opened) <= 1
    assert [event.event_id for event in played.events] == [record.context.reservation_id for record in opened]
    assert all(event.ended_at_ms > NOW_MS for event in played.events)
    assert all(_answered_once(step) for step in played.steps)


def _answered_once(step: Step) -> bool:
    return len(step.replies) <= 1
