"""Answers that come whole pass through us: headers and body are asked for at once and sent back as they are. As transcripts."""

from typing import Any

import pytest

from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from tests.support.engine_bytes import completion, delta, sse
from tests.support.ext_proc import (
    CHANGE_THROUGH_US,
    FOLLOW,
    FOLLOW_THROUGH_US,
    Playbook,
    chunk,
    last,
    request_body,
    request_headers,
    response_headers,
    response_trailers,
    some_context,
)

JSON = "application/json"
HEADERS = "response_headers"


def asked(**changes: Any) -> Playbook:
    return Playbook() >> request_headers(some_context(stream=False, **changes))


def sends(body: bytes, *, end: bool = False) -> str:
    return f"response_body sends {body.decode()}" + (" and ends" if end else "")


def tokens(event: RequestRecorded) -> tuple[int, int, UsageSource]:
    return event.input_tokens, event.output_tokens, event.usage_source


def test_headers_and_body_pass_with_the_length_beside_them() -> None:
    body = completion()
    played = asked() << FOLLOW_THROUGH_US >> response_headers(200, JSON, content_length=str(len(body)))
    played = played << f"{HEADERS} +x-ias-content-length={len(body)}" >> last(body) << sends(body, end=True)
    assert played.ended
    assert (played.event.outcome, played.event.http_status, *tokens(played.event)) == (Outcome.COMPLETE, 200, 11, 3, UsageSource.REPORTED)


@pytest.mark.parametrize("length", [{}, {"content_length": "-1"}, {"content_length": "9" * 19}])
def test_a_length_that_is_none_is_not_passed_on(length: dict[str, str]) -> None:
    assert (asked() >> response_headers(200, JSON, **length) << HEADERS).events == []


def test_every_part_of_a_body_passes_when_it_comes() -> None:
    body = completion()
    played = asked() >> response_headers(200, JSON) >> chunk(body[:9]) << sends(body[:9]) >> chunk(body[9:]) << sends(body[9:])
    assert tokens((played >> last() << sends(b"", end=True)).event) == (11, 3, UsageSource.REPORTED)


def test_trailers_end_it_too() -> None:
    played = asked() >> response_headers(200, JSON) >> chunk(completion()) >> response_trailers() << "response_trailers"
    assert played.ended
    assert tokens(played.event) == (11, 3, UsageSource.REPORTED)


def test_the_request_may_change_before() -> None:
    played = asked(upstream_model="org/model-7b") << CHANGE_THROUGH_US >> request_body(b'{"model":"chat"}')
    assert (played >> response_headers(200, JSON) << HEADERS >> last(completion())).event.output_tokens == 3


@pytest.mark.parametrize(("status", "outcome"), [(400, Outcome.COMPLETE), (429, Outcome.UPSTREAM_ERROR), (500, Outcome.UPSTREAM_ERROR)])
def test_an_error_is_recorded_at_its_headers_and_its_body_still_passes(status: int, outcome: Outcome) -> None:
    played = asked() >> response_headers(status, JSON, content_length="5") << f"{HEADERS} +x-ias-content-length=5"
    assert not played.ended
    assert (played.event.outcome, played.event.http_status, *tokens(played.event)) == (outcome, status, 0, 0, UsageSource.ESTIMATED)
    played = played >> chunk(b"oh") << sends(b"oh") >> last(b" no") << sends(b" no", end=True)
    assert played.ended
    assert len(played.stop().events) == 1


def test_an_error_before_the_request_had_arrived_passes_as_well() -> None:
    played = asked(upstream_model="org/model-7b") >> response_headers(408, JSON) << HEADERS >> last(b"{}") << sends(b"{}", end=True)
    assert (played.event.http_status, played.ended) == (408, True)


def test_an_error_without_a_body_is_over_at_its_headers() -> None:
    played = asked() >> response_headers(500, None, content_length="0", end=True) << HEADERS
    assert (played.ended, played.event.outcome) == (True, Outcome.UPSTREAM_ERROR)


def test_a_client_that_leaves_in_the_middle_of_an_error_changes_nothing() -> None:
    played = (asked() >> response_headers(500, JSON) >> chunk(b"oh")).stop()
    assert played.event.outcome is Outcome.UPSTREAM_ERROR


def test_an_answer_cut_in_the_middle_is_an_abort() -> None:
    played = (asked() >> response_headers(200, JSON) >> chunk(completion()[:-1])).stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.CLIENT_ABORT, 0, 0, UsageSource.ESTIMATED)


def test_an_engine_that_streams_all_the_same_is_counted() -> None:
    events = sse(delta("a")) * 2
    played = asked() >> response_headers() << HEADERS >> chunk(events) << sends(events)
    assert tokens(played.stop().event) == (0, 2, UsageSource.COUNTED)


@pytest.mark.parametrize("large", [{"endpoint": Endpoint.EMBEDDINGS}, {"stream": True}, {"top_up_tokens": 8}])
def test_what_may_be_large_or_must_be_ended_is_decided_by_its_headers(large: dict[str, Any]) -> None:
    assert (Playbook() >> request_headers(some_context(**({"stream": False} | large))) << FOLLOW).events == []
