"""The stream machine, as transcripts: `>>` is Envoy's message, `<<` our answer."""

import dataclasses
import json
from typing import Any

import pytest

from extproc.machine import Rules, State
from ias.context import sign
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from protos.ext_proc_pb2 import ProcessingRequest
from tests.support.engine_bytes import DONE, completion, delta, sse, usage, usage_chunk
from tests.support.ext_proc import (
    CHANGE_STREAMED,
    CHANGE_THROUGH_US,
    FOLLOW,
    FOLLOW_AND_CHANGE,
    FOLLOW_THROUGH_US,
    KEYS,
    NOW_MS,
    PASS,
    READ_BUFFERED,
    READ_STREAMED,
    UNAVAILABLE,
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

STREAM = some_context()
EMBEDDING = some_context(stream=False, endpoint=Endpoint.EMBEDDINGS, path="/v1/embeddings")
"""Its answer comes whole, but may be large."""
JSON = "application/json"


def following(context: Any = STREAM) -> Playbook:
    return Playbook() >> request_headers(context) << FOLLOW


def tokens(event: RequestRecorded) -> tuple[int, int, UsageSource]:
    return event.input_tokens, event.output_tokens, event.usage_source


def test_a_stream_passes_untouched_and_its_reported_usage_is_recorded() -> None:
    played = (
        following()
        >> response_headers()
        << READ_STREAMED
        >> chunk(sse(delta("", role="assistant")))
        << PASS
        >> chunk(sse(delta("a")))
        << PASS
        >> chunk(sse(usage_chunk(prompt=11, completion=3, cached=4, reasoning=2)) + DONE)
        << PASS
        >> last()
        << PASS
    )

    assert played.ended
    assert played.event == RequestRecorded(
        event_id=STREAM.reservation_id,
        org_id=STREAM.org_id,
        user_id=STREAM.user_id,
        key_id=STREAM.key_id,
        publication_id=STREAM.publication_id,
        model="chat",
        upstream_model="chat",
        endpoint=Endpoint.CHAT_COMPLETIONS,
        stream=True,
        outcome=Outcome.COMPLETE,
        http_status=200,
        input_tokens=11,
        cached_input_tokens=4,
        output_tokens=3,
        reasoning_tokens=2,
        usage_source=UsageSource.REPORTED,
        time_to_first_token_ms=30,
        duration_ms=50,
        ended_at_ms=NOW_MS + 60,
        request_id="request-0",
    )


def test_the_opened_record_comes_with_the_answer_to_the_headers() -> None:
    played = following()
    (step,) = played.steps
    assert step.opened is not None
    assert (step.opened.context, step.opened.opened_at_ms) == (STREAM, NOW_MS + 10)


def test_usage_is_asked_for_and_its_chunk_taken_out_again() -> None:
    context = some_context(add_usage=True)
    body = b'{"model":"chat","messages":[],"stream":true,"stream_options":{"x":1}}'
    changed = b'{"model":"chat","messages":[],"stream":true,"stream_options":{"x":1,"include_usage":true}}'
    played = (
        Playbook()
        >> request_headers(context)
        << FOLLOW_AND_CHANGE
        >> request_body(body)
        << f"request_body +content-length={len(changed)} becomes {changed.decode()}"
        >> response_headers()
        << CHANGE_STREAMED
        >> chunk(sse(delta("a")))
        << PASS
        >> chunk(sse(usage_chunk(prompt=5, completion=1)))
        << "response_body cleared"
        >> chunk(DONE)
        << PASS
        >> last()
        << PASS
    )
    assert tokens(played.event) == (5, 1, UsageSource.REPORTED)


def test_an_event_cut_in_two_is_held_until_it_is_whole() -> None:
    context, event = some_context(add_usage=True), sse(delta("a"))
    played = Playbook() >> request_headers(context) >> request_body(b'{"model":"chat"}') >> response_headers()
    assert (
        played
        >> chunk(event[:20])
        << "response_body cleared"
        >> chunk(event[20:] + b"data: tail")
        << f"response_body becomes {event.decode()}"
        >> last()
        << "response_body becomes data: tail"
    ).ended


def test_a_model_of_another_name_upstream_is_written_into_the_body() -> None:
    context = some_context(stream=False, upstream_model="org/model-7b", add_usage=True)
    changed = b'{"model":"org/model-7b","n":1.0}'
    assert (
        Playbook()
        >> request_headers(context)
        << CHANGE_THROUGH_US
        >> request_body(b'{"model": "chat", "n":1.0}')
        << f"request_body +content-length={len(changed)} becomes {changed.decode()}"
    ).events == []


def test_a_body_that_is_not_json_passes_for_the_engine_to_refuse() -> None:
    played = Playbook() >> request_headers(some_context(add_usage=True)) << FOLLOW_AND_CHANGE >> request_body(b"{") << "request_body"
    assert played.machine.state is State.RESPONSE_HEADERS


def test_without_a_request_body_there_is_nothing_to_change() -> None:
    assert (Playbook() >> request_headers(some_context(add_usage=True), end=True) << FOLLOW).events == []


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"content_length": "524288"}, READ_BUFFERED),
        ({"content_length": "524289"}, READ_STREAMED),
        ({"content_length": "-1"}, READ_STREAMED),
        ({}, READ_STREAMED),
    ],
)
def test_only_a_short_json_answer_of_known_length_is_buffered(headers: dict[str, str], answer: str) -> None:
    played = following(EMBEDDING) >> response_headers(200, JSON + "; charset=utf-8", **headers) << answer >> last(completion()) << PASS
    assert tokens(played.event) == (11, 3, UsageSource.REPORTED)
    assert played.event.time_to_first_token_ms is None


def test_embeddings_have_input_only() -> None:
    body = json.dumps({"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8, "completion_tokens": None}}).encode()
    played = following(EMBEDDING) >> response_headers(200, JSON) >> chunk(body[:9]) >> last(body[9:])
    assert tokens(played.event) == (8, 0, UsageSource.REPORTED)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, Outcome.COMPLETE), (404, Outcome.COMPLETE), (429, Outcome.UPSTREAM_ERROR), (500, Outcome.UPSTREAM_ERROR), (503, Outcome.UPSTREAM_ERROR)],
)
def test_an_error_of_the_engine_or_of_envoy_is_recorded_at_its_headers(status: int, outcome: Outcome) -> None:
    played = following() >> response_headers(status, JSON) << "response_headers"
    assert played.ended
    assert (played.event.outcome, played.event.http_status) == (outcome, status)
    assert tokens(played.event) == (0, 0, UsageSource.ESTIMATED)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("asked", "follow"), [({}, FOLLOW), ({"stream": False, "held_tokens": 9}, FOLLOW_THROUGH_US)])
def test_an_engine_that_refuses_the_gateway_is_no_fault_of_the_client(status: int, asked: dict[str, Any], follow: str) -> None:
    context = some_context(**asked)
    played = Playbook() >> request_headers(context) << follow >> response_headers(status, JSON) << "502 upstream_unauthorized"
    assert (played.ended, played.steps[-1].engine_refused) == (True, status)
    assert (played.event.outcome, played.event.http_status) == (Outcome.UPSTREAM_ERROR, 502)
    assert tokens(played.event) == (0, 0, UsageSource.ESTIMATED)
    assert len(played.stop().events) == 1


def test_an_answer_without_a_body_is_complete() -> None:
    played = following() >> response_headers(204, None, end=True) << "response_headers"
    assert played.ended
    assert played.event.outcome is Outcome.COMPLETE


@pytest.mark.parametrize("status", [401, 408])
def test_an_answer_before_the_body_arrived_is_recorded_and_is_no_engines(status: int) -> None:
    played = Playbook() >> request_headers(some_context(add_usage=True)) << FOLLOW_AND_CHANGE >> response_headers(status, JSON) << "response_headers"
    assert (played.event.http_status, played.steps[-1].engine_refused) == (status, 0)


@pytest.mark.parametrize(
    ("content_type", "encoding"), [("text/event-stream", "compress"), ("application/json", "br, gzip"), ("audio/mpeg", "identity"), (None, "")]
)
def test_an_unreadable_answer_passes_and_is_estimated(content_type: str | None, encoding: str) -> None:
    more = {"content_encoding": encoding} if encoding else {}
    played = following() >> response_headers(200, content_type, **more) << READ_STREAMED >> chunk(b"\x1f\x8b") << PASS >> last() << PASS
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.COMPLETE, 0, 0, UsageSource.ESTIMATED)


def test_a_client_that_leaves_is_charged_what_it_got() -> None:
    played = (following() >> response_headers() >> chunk(sse(delta("a")) + sse(delta("b"))) >> chunk(b"data: {")).stop()
    assert played.event.outcome is Outcome.CLIENT_ABORT
    assert tokens(played.event) == (0, 2, UsageSource.COUNTED)


def test_running_usage_is_better_than_counting_when_the_client_leaves() -> None:
    with_usage = {**delta("a"), "usage": usage(prompt=9, completion=7)}
    played = (following() >> response_headers() >> chunk(sse({**delta("a"), "usage": usage(9, 1)})) >> chunk(sse(with_usage))).stop()
    assert tokens(played.event) == (9, 7, UsageSource.REPORTED)


@pytest.mark.parametrize("seen", [0, 1, 2])
def test_a_stream_that_stops_before_any_output_is_an_abort_without_tokens(seen: int) -> None:
    played = following()
    for message in (response_headers(), chunk(sse(delta("", role="assistant"))))[:seen]:
        played >>= message
    assert played.stop().event.outcome is Outcome.CLIENT_ABORT
    assert tokens(played.event) == (0, 0, UsageSource.ESTIMATED)
    assert played.event.http_status == (200 if seen else 0)


def test_a_client_that_leaves_right_after_done_has_everything() -> None:
    played = (following() >> response_headers() >> chunk(sse(delta("a")) + sse(usage_chunk()) + DONE)).stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.COMPLETE, 11, 3, UsageSource.REPORTED)


def test_a_json_answer_that_arrived_whole_is_complete_without_an_end() -> None:
    played = (following(EMBEDDING) >> response_headers(200, JSON) >> chunk(completion())).stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.COMPLETE, 11, 3, UsageSource.REPORTED)


def test_a_json_answer_cut_in_the_middle_is_an_abort() -> None:
    played = (following(EMBEDDING) >> response_headers(200, JSON) >> chunk(completion()[:-1])).stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.CLIENT_ABORT, 0, 0, UsageSource.ESTIMATED)


def test_a_stream_that_ends_without_done_was_cut_by_the_engine() -> None:
    played = following() >> response_headers() >> chunk(sse(delta("a"))) >> last()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.UPSTREAM_ERROR, 0, 1, UsageSource.COUNTED)


@pytest.mark.parametrize("error", [sse({"error": {"message": "out of memory"}}), b"event: error\ndata: {}\n\n"])
@pytest.mark.parametrize("ends", [True, False])
def test_an_error_inside_the_stream_is_the_engines(error: bytes, ends: bool) -> None:
    played = following() >> response_headers() >> chunk(sse(delta("a")) + error + DONE)
    played = played >> last() if ends else played.stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.UPSTREAM_ERROR, 0, 1, UsageSource.COUNTED)


def test_trailers_end_an_answer_too() -> None:
    played = following() >> response_headers() >> chunk(DONE) >> response_trailers() << "response_trailers"
    assert played.ended
    assert played.event.outcome is Outcome.COMPLETE


@pytest.mark.parametrize("status", [100, 103])
def test_an_interim_answer_is_not_the_answer(status: int) -> None:
    played = following() >> response_headers(status, None) << "response_headers" >> response_headers() << READ_STREAMED
    assert (played >> last(sse(usage_chunk()) + DONE)).event.outcome is Outcome.COMPLETE


def test_a_head_request_ends_at_its_headers() -> None:
    played = Playbook() >> request_headers(EMBEDDING, end=True, **{":method": "HEAD"}) << FOLLOW
    assert (played >> response_headers(200, JSON, content_length="12", end=True) << "response_headers").event.output_tokens == 0


def test_a_request_whose_body_never_came_used_nothing() -> None:
    context = some_context(add_usage=True, held_tokens=500, prompt_tokens=100)
    played = (Playbook() >> request_headers(context) << FOLLOW_AND_CHANGE).stop()
    assert (played.event.outcome, *tokens(played.event), played.event.held_tokens) == (Outcome.CLIENT_ABORT, 0, 0, UsageSource.ESTIMATED, 500)


def test_the_cap_that_admission_counted_with_is_written_into_the_body() -> None:
    context = some_context(stream=False, output_cap=300)
    changed = b'{"model":"chat","max_tokens":300}'
    assert (
        Playbook()
        >> request_headers(context)
        << CHANGE_THROUGH_US
        >> request_body(b'{"model":"chat","max_tokens":900}')
        << f"request_body +content-length={len(changed)} becomes {changed.decode()}"
    ).events == []


def test_usage_in_every_chunk_is_asked_for_and_cut_out_of_each() -> None:
    context = some_context(add_usage=True, continuous_usage=True)
    running = sse({**delta("a"), "usage": usage(9, 1)})
    played = Playbook() >> request_headers(context) << FOLLOW_AND_CHANGE >> request_body(b'{"model":"chat"}')
    asked = '{"model":"chat","stream_options":{"include_usage":true,"continuous_usage_stats":true}}'
    played << f"request_body +content-length={len(asked)} becomes {asked}"
    played = played >> response_headers() << CHANGE_STREAMED >> chunk(running) << f"response_body becomes {sse(delta('a')).decode()}"
    assert tokens(played.stop().event) == (9, 1, UsageSource.REPORTED)


def test_what_is_used_for_certain_is_what_was_told_and_a_token_for_each_piece_since() -> None:
    played = following() >> response_headers() >> chunk(sse(delta("a")))
    assert played.machine.used_tokens() == 1, "nobody has told of the prompt yet"
    played = played >> chunk(sse({**delta("b"), "usage": usage(9, 4)})) >> chunk(sse(delta("c")))
    assert played.machine.used_tokens() == 9 + 4 + 1
    assert following().machine.used_tokens() == 0


def test_a_client_that_asked_for_usage_in_every_chunk_keeps_it() -> None:
    context = some_context(continuous_usage=True)
    body = b'{"model":"chat","stream_options":{"include_usage":true,"continuous_usage_stats":true}}'
    played = Playbook() >> request_headers(context) >> request_body(body) << f"request_body +content-length={len(body)} becomes {body.decode()}"
    assert (played >> response_headers() << READ_STREAMED >> chunk(sse({**delta("a"), "usage": usage(9, 1)})) << PASS).events == []


def test_what_comes_after_the_end_is_answered_and_changes_nothing() -> None:
    played = following() >> response_headers() >> last(DONE)
    played = played >> last() << PASS >> response_trailers() << "response_trailers" >> response_headers() << "response_headers"
    assert len(played.stop().events) == 1


def test_messages_that_were_not_asked_for_are_answered() -> None:
    played = following() >> request_body(b"{}") << "request_body" >> request_trailers() << "request_trailers" >> chunk(b"x") << PASS
    assert (played.machine.state, played.events) == (State.RESPONSE_HEADERS, [])


def test_an_answer_of_another_filter_has_nothing_to_count() -> None:
    played = Playbook() >> response_headers(401, JSON) << "response_headers" >> last(b"{}") << PASS
    assert played.stop().events == []
    assert all(step.opened is None for step in played.steps)


def test_a_message_of_an_unknown_kind_is_not_answered() -> None:
    assert (Playbook() >> ProcessingRequest()).steps[0].replies == ()


OTHER_KEYS = dataclasses.replace(KEYS, keys={"k1": b"2" * 32})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x_ias_context": None}, "no context"),
        ({"x_ias_context": ""}, "unknown version of the context"),
        ({"x_ias_context": "1.k1.\u00e9.x"}, "wrong signature"),
        ({"x_ias_context": sign(STREAM, OTHER_KEYS)}, "wrong signature"),
        ({"x_request_id": "another"}, "context of another request"),
        ({"x_request_id": None}, "context of another request"),
        ({"x_ias_context": sign(some_context(signed_at_ms=NOW_MS - 61_000), KEYS)}, "context is too old"),
    ],
)
def test_without_a_valid_context_nothing_passes_and_nothing_is_recorded(changes: dict[str, str | None], reason: str) -> None:
    played = Playbook() >> request_headers(STREAM, **changes) << UNAVAILABLE
    (step,) = played.steps
    assert (step.refused, step.opened, step.last) == (reason, None, True)
    assert played.stop().events == []


def test_a_context_for_another_path_is_refused() -> None:
    message = request_headers(STREAM)
    next(h for h in message.request_headers.headers.headers if h.key == ":path").raw_value = b"/v1/embeddings"
    assert (Playbook() >> message << UNAVAILABLE).steps[0].refused == "context of another request"


def test_the_previous_signing_key_is_still_good() -> None:
    previous = dataclasses.replace(KEYS, current="k0")
    assert (Playbook() >> request_headers(STREAM, x_ias_context=sign(STREAM, previous)) << FOLLOW).events == []


def test_a_request_that_cannot_be_recorded_is_refused_and_has_no_event() -> None:
    played = following()
    step = played.machine.unrecorded()
    assert step.last
    played.steps.append(step)
    assert (played << UNAVAILABLE).stop().events == []


def test_events_above_the_limit_pass_and_count_as_output() -> None:
    context, large = some_context(add_usage=True), sse(delta("x" * 200))
    played = Playbook(Rules(KEYS, event_limit_bytes=100)) >> request_headers(context) >> request_body(b"{}") >> response_headers()
    played = played >> chunk(large) << PASS >> last(DONE)
    assert tokens(played.event) == (0, 1, UsageSource.COUNTED)
