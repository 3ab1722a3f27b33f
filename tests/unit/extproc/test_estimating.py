"""What is charged when the engine did not say: counted where output passed, else estimated, never nothing for something."""

from typing import Any

import pytest

from extproc.dialects.reading import Reading
from extproc.learning import Learned, Ratios
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from tests.support.engine_bytes import DONE, completion, delta, message, named, response, sse, usage, usage_chunk
from tests.support.ext_proc import Playbook, chunk, last, request_headers, response_headers, some_context
from tests.support.usage_events import some_id

HELD = {"held_tokens": 500, "prompt_tokens": 40}
JSON = "application/json"


def tokens(event: RequestRecorded) -> tuple[int, int, UsageSource]:
    return event.input_tokens, event.output_tokens, event.usage_source


def begun(learned: Learned | None = None, **changes: Any) -> Playbook:
    return Playbook(learned=learned) >> request_headers(some_context(**HELD | changes))


def test_a_cut_stream_is_its_prompt_as_held_and_its_output_as_counted() -> None:
    played = (begun() >> response_headers() >> chunk(sse(delta("a")) * 3)).stop()
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.CLIENT_ABORT, 40, 3, UsageSource.COUNTED)


def test_a_cut_stream_with_running_usage_is_exact() -> None:
    played = (begun() >> response_headers() >> chunk(sse({**delta("a"), "usage": usage(41, 2)}))).stop()
    assert tokens(played.event) == (41, 2, UsageSource.REPORTED)


@pytest.mark.parametrize(
    "early",
    [{"choices": [], "usage": usage(41, 0)}, {**delta("a"), "usage": usage(41, 0)}, {**delta("", role="assistant"), "usage": usage(41, 0)}],
    ids=["chunk of its own", "with the first output", "with the role"],
)
def test_usage_from_before_the_output_is_not_the_output_of_a_cut_stream(early: object) -> None:
    played = (begun() >> response_headers() >> chunk(sse(early) + sse(delta("a")) * 3)).stop()
    assert played.event.outcome is Outcome.CLIENT_ABORT
    assert tokens(played.event) == (41, 4 if early.get("choices") and early["choices"][0]["delta"].get("content") else 3, UsageSource.COUNTED)


def test_output_behind_running_usage_is_counted_in_addition() -> None:
    played = (begun() >> response_headers() >> chunk(sse({**delta("a"), "usage": usage(41, 2)}) + sse(delta("b")))).stop()
    assert tokens(played.event) == (41, 3, UsageSource.COUNTED)


def test_parts_are_never_more_than_the_whole() -> None:
    played = (
        begun() >> response_headers() >> chunk(sse(delta("a")) + sse(usage_chunk(prompt=10, completion=2, cached=50, reasoning=9)) + DONE) >> last()
    )
    assert (played.event.cached_input_tokens, played.event.reasoning_tokens) == (10, 2)


def test_usage_without_output_is_whole_only_where_there_is_no_output() -> None:
    body = b'{"usage":{"prompt_tokens":8,"total_tokens":20}}'
    for endpoint, expected in ((Endpoint.EMBEDDINGS, (8, 0, UsageSource.REPORTED)), (Endpoint.CHAT_COMPLETIONS, (8, 31, UsageSource.ESTIMATED))):
        played = begun(stream=False, endpoint=endpoint)
        played.now_ms += 1_000
        played = played >> response_headers(200, JSON, content_length=str(len(body))) >> last(body)
        assert tokens(played.event) == expected


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_whose_answer_never_began_is_its_prompt_and_what_could_be_made_in_the_time(stream: bool) -> None:
    played = begun(stream=stream)
    played.now_ms += 1_000
    event = played.stop().event
    # A stream has shown what it made; of the other 30 tokens a second are assumed as long as nothing better is known.
    assert tokens(event) == (40, 0 if stream else 31, UsageSource.ESTIMATED)


def test_an_estimate_is_at_most_what_was_held() -> None:
    played = begun(stream=False)
    played.now_ms += 3_600_000
    assert tokens(played.stop().event) == (40, 460, UsageSource.ESTIMATED)


def test_embeddings_have_no_output_to_estimate() -> None:
    played = begun(stream=False, endpoint=Endpoint.EMBEDDINGS)
    played.now_ms += 10_000
    assert tokens(played.stop().event) == (40, 0, UsageSource.ESTIMATED)


@pytest.mark.parametrize("body", [completion()[:-1], b'{"choices": []}'])
def test_a_whole_answer_without_usage_is_estimated(body: bytes) -> None:
    played = begun(stream=False)
    played.now_ms += 1_000
    played = played >> response_headers(200, JSON) >> last(body)
    assert tokens(played.event) == (40, 31, UsageSource.ESTIMATED)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_refusal_used_nothing(status: int) -> None:
    assert tokens((begun() >> response_headers(status, JSON)).event) == (0, 0, UsageSource.ESTIMATED)


def test_a_stream_of_an_engine_that_never_reports_is_counted() -> None:
    played = begun() >> response_headers() >> chunk(sse(delta("a")) * 4) >> last(DONE)
    assert (played.event.outcome, *tokens(played.event)) == (Outcome.COMPLETE, 40, 4, UsageSource.COUNTED)


def test_cut_streams_of_the_other_endpoints() -> None:
    cut = (begun(endpoint=Endpoint.RESPONSES) >> response_headers() >> chunk(b"".join(map(named, response()[:3])))).stop()
    assert tokens(cut.event) == (40, 2, UsageSource.COUNTED)
    cut = (begun(endpoint=Endpoint.MESSAGES) >> response_headers() >> chunk(b"".join(map(named, message(prompt=17)[:8])))).stop()
    assert tokens(cut.event) == (17, 2, UsageSource.COUNTED)


def test_complete_streams_of_the_other_endpoints() -> None:
    whole = begun(endpoint=Endpoint.RESPONSES) >> response_headers() >> last(b"".join(map(named, response(prompt=9, completion=4, reasoning=1))))
    assert (whole.event.outcome, *tokens(whole.event), whole.event.reasoning_tokens) == (Outcome.COMPLETE, 9, 4, UsageSource.REPORTED, 1)
    whole = begun(endpoint=Endpoint.MESSAGES) >> response_headers() >> last(b"".join(map(named, message(prompt=9, completion=4, cached=5))))
    assert (whole.event.outcome, *tokens(whole.event), whole.event.cached_input_tokens) == (Outcome.COMPLETE, 9, 4, UsageSource.REPORTED, 5)


def teach(learned: Learned, times: int, **changes: Any) -> None:
    """Complete answers with four tokens in a piece, half a token in a byte, a hundred tokens a second."""
    for _ in range(times):
        played = begun(learned, body_bytes=200, **changes)
        played.now_ms += 70
        played >> response_headers() >> chunk(sse(delta("abcd")) * 2) >> last(sse(usage_chunk(prompt=100, completion=8)) + DONE)


def test_complete_answers_teach_what_cut_ones_are() -> None:
    learned = Learned()
    teach(learned, 5)
    cut = (begun(learned, body_bytes=50) >> response_headers() >> chunk(sse(delta("x")) * 3)).stop()
    assert tokens(cut.event) == (25, 12, UsageSource.COUNTED)
    silent = begun(learned, body_bytes=50, stream=False)
    silent.now_ms += 980
    assert tokens(silent.stop().event) == (25, 80, UsageSource.ESTIMATED)


def test_an_org_is_told_by_its_own_answers_once_there_are_enough() -> None:
    learned = Learned()
    context = some_context()
    ours, other = context, some_context(org_id=some_id(9))
    learned.learn(other, Reading(100, output=10, deltas=1), 10)
    assert learned.of(ours).per_delta == 10, "nothing of our own: what others have seen"
    for _ in range(5):
        learned.learn(ours, Reading(100, output=2, deltas=1), 10)
    assert learned.of(ours).per_delta == 2
    assert learned.of(other).per_delta < 10


def test_nonsense_moves_a_ratio_only_so_far() -> None:
    ratios = Ratios(answers=1)
    ratios.learn("per_delta", 1e12)
    assert ratios.per_delta == pytest.approx(1 + 0.1 * 255)


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.learning._ENTRIES", 4)
    learned = Learned()
    for number in range(10):
        learned.learn(some_context(publication_id=some_id(number)), Reading(1, output=1, deltas=1), 1)
    assert len(learned._ratios) == 4
