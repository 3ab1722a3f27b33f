"""A gateway that only lets us observe: the same machine counts and settles, answers nothing and changes nothing."""

from extproc.machine import Step
from ias.usage_event import Outcome, UsageSource
from tests.support.engine_bytes import DONE, completion, delta, sse, usage, usage_chunk
from tests.support.ext_proc import Playbook, chunk, last, request_headers, response_headers, some_context

ASKS_FOR_EVERYTHING = some_context(
    add_usage=True, continuous_usage=True, upstream_model="other", output_cap=9, held_tokens=11, prompt_tokens=10, top_up_tokens=4
)


def observed() -> Playbook:
    return Playbook(observes=True) >> request_headers(ASKS_FOR_EVERYTHING) << None


def test_a_stream_is_counted_without_a_word() -> None:
    played = observed()
    assert played.steps[0].opened is not None
    played = played >> response_headers() << None
    for _ in range(3):
        played = played >> chunk(sse({**delta("a"), "usage": usage(10, 3)})) << None
        assert (played.steps[-1].top_up, played.steps[-1].waits) == (0, False)
    played = played >> last(sse(usage_chunk(prompt=10, completion=3)) + DONE) << None
    assert played.ended
    assert (played.event.outcome, played.event.output_tokens, played.event.usage_source) == (Outcome.COMPLETE, 3, UsageSource.REPORTED)


def test_a_whole_answer_is_counted() -> None:
    played = observed() >> response_headers(200, "application/json", content_length="200") << None >> last(completion()) << None
    assert (played.ended, played.event.output_tokens) == (True, 3)


def test_a_client_that_leaves_is_counted() -> None:
    played = (observed() >> response_headers() >> chunk(sse(delta("a")) * 2)).stop()
    assert (played.event.outcome, played.event.output_tokens) == (Outcome.CLIENT_ABORT, 2)


def test_an_error_ends_it_at_its_headers() -> None:
    played = observed() >> response_headers(500, "application/json") << None
    assert (played.ended, played.event.outcome) == (True, Outcome.UPSTREAM_ERROR)


def test_an_engine_that_refuses_the_gateway_is_told_of_and_its_answer_passes() -> None:
    played = observed() >> response_headers(401, "application/json") << None
    assert (played.ended, played.steps[-1].engine_refused) == (True, 401)
    assert (played.event.outcome, played.event.http_status, played.event.output_tokens) == (Outcome.UPSTREAM_ERROR, 401, 0)


def test_a_request_without_a_context_is_told_of_and_passes() -> None:
    played = Playbook(observes=True) >> request_headers(ASKS_FOR_EVERYTHING, x_ias_context=None) << None
    assert (played.ended, played.steps[-1].refused) == (True, "no context")


def test_an_answer_of_another_filter_has_nothing_to_count() -> None:
    played = Playbook(observes=True) >> response_headers(401, "application/json") << None >> last(b"{}") << None
    assert played.stop().events == []


def test_a_request_that_cannot_be_recorded_passes_uncounted() -> None:
    played = observed()
    assert played.machine.unrecorded() == Step(last=True)
    assert played.stop().events == []
