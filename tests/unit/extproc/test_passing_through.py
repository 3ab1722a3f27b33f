"""Streams whose hold may not suffice: topped up as they grow, and ended cleanly where no more is granted. As transcripts."""

import json
from typing import Any

from extproc.holding import Hold
from extproc.machine import State
from ias.context import RequestContext
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, UsageSource
from ratelimit.ports import Held
from tests.support.engine_bytes import DONE, delta, message, named, response, sse, usage_chunk
from tests.support.ext_proc import (
    PASS_THROUGH_US,
    Playbook,
    chunk,
    last,
    request_body,
    request_headers,
    response_headers,
    response_trailers,
    some_context,
)

GROWING = some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8)
"""Two tokens of output are held, and then eight at a time."""


def growing(context: RequestContext = GROWING) -> Playbook:
    played = Playbook() >> request_headers(context)
    if played.machine.state is State.REQUEST_BODY:
        played >>= request_body(b"{}")
    return played >> response_headers() << PASS_THROUGH_US


def sends(*events: bytes, end: bool = False) -> str:
    return f"response_body sends {b''.join(events).decode()}" + (" and ends" if end else "")


def token(content: str = "a") -> bytes:
    return sse(delta(content))


def ending(*choices: int, **head: Any) -> bytes:
    known = {"id": "c1", "object": "chat.completion.chunk"} | head
    chunks = [{**known, "choices": [{"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}]} for index in choices]
    return b"".join(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in chunks)


def test_more_is_asked_for_ahead_of_need_and_the_stream_does_not_wait() -> None:
    played = growing() >> chunk(token("a")) << sends(token("a"))
    played = played.asks(8) >> chunk(token("b")) << sends(token("b"))
    played = played.asks(0).topped_up(Held.GRANTED) << None
    assert played.asks(0).event_held() == 20


def test_a_stream_within_its_hold_is_never_asked_about() -> None:
    played = growing(some_context(held_tokens=100, prompt_tokens=10, top_up_tokens=8))
    for _ in range(5):
        played = played >> chunk(token()) << sends(token())
        played.asks(0)
    played = played >> last(sse(usage_chunk(prompt=10, completion=5)) + DONE) << sends(sse(usage_chunk(prompt=10, completion=5)), DONE, end=True)
    assert played.ended
    assert (played.event.outcome, played.event.held_tokens, played.event.usage_source) == (Outcome.COMPLETE, 100, UsageSource.REPORTED)


def test_at_the_edge_of_the_hold_bytes_wait_for_the_store() -> None:
    played = growing() >> chunk(token() * 2) << sends(token() * 2)
    played = played.asks(8) >> chunk(token("c")) << None
    played = played.asks(0, waits=True) >> chunk(token("d")) << None
    assert (played.topped_up(Held.GRANTED) << sends(token("c"), token("d"))).event_held() == 20


def test_bytes_wait_no_longer_than_the_patience_and_a_late_refusal_still_ends_the_stream() -> None:
    played = growing() >> chunk(token() * 3) << None
    played = played.asks(8, waits=True).lose_patience() << sends(token() * 3)
    played = played >> chunk(token("d")) << sends(token("d"))
    played = played.topped_up(Held.OVER) << sends(ending(0), usage_and_done(10, 4), end=True)
    assert (played.ended, played.event.outcome, played.event.output_tokens) == (True, Outcome.COMPLETE, 4)


def usage_and_done(prompt: int, completion: int) -> bytes:
    usage = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    return (
        b"data: "
        + json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": usage}, separators=(",", ":")).encode()
        + b"\n\n"
        + DONE
    )


def test_a_refusal_ahead_of_need_is_asked_again_at_the_edge() -> None:
    played = growing() >> chunk(token())
    played = played.asks(8).topped_up(Held.OVER) << None
    played = played.asks(0) >> chunk(token()) << sends(token())
    played = played.asks(0) >> chunk(token("c")) << None
    played = played.asks(8, waits=True).topped_up(Held.GRANTED) << sends(token("c"))
    assert not played.ended


def test_refused_at_the_edge_the_stream_ends_as_for_its_length() -> None:
    played = growing(some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8, add_usage=True)) >> chunk(token() * 2)
    played = played.topped_up(Held.OVER) >> chunk(token("c")) << None
    played = played.topped_up(Held.OVER) << sends(token("c"), ending(0), DONE, end=True)
    event = played.event
    assert (event.outcome, event.http_status, event.input_tokens, event.output_tokens) == (Outcome.COMPLETE, 200, 10, 3)
    assert (event.usage_source, event.held_tokens) == (UsageSource.COUNTED, 12)
    assert played.stop().event is event
    assert (played.topped_up(Held.GRANTED).steps[-1].replies, played.lose_patience().steps[-1].replies) == ((), ())


def test_every_choice_that_is_still_open_is_ended() -> None:
    def piece(index: int, finish: str | None = None) -> bytes:
        return sse({"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": finish}]})

    played = growing(some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8, choices=3, add_usage=True))
    passed = (piece(0), piece(1, "stop"), piece(0))
    played = played >> chunk(b"".join(passed)) << None
    played = played.topped_up(Held.OVER) << sends(*passed, ending(0, 2), DONE, end=True)


def test_an_event_that_was_not_complete_is_left_out_of_the_end() -> None:
    played = growing() >> chunk(token() * 3 + b'data: {"choices"') << None
    played = played.topped_up(Held.OVER) << sends(token() * 3, ending(0), usage_and_done(10, 3), end=True)


def test_a_stream_that_has_said_all_is_not_ended_again() -> None:
    rest = sse(usage_chunk(prompt=10, completion=3)) + DONE
    played = growing() >> chunk(token() * 3) << None >> chunk(rest) << sends(token() * 3, rest)
    played = played.topped_up(Held.OVER) << None
    played = played >> last() << sends(end=True)
    assert (played.event.outcome, played.event.output_tokens) == (Outcome.COMPLETE, 3)


def test_what_the_store_has_forgotten_is_held_again() -> None:
    played = growing() >> chunk(token() * 3) << None
    played = played.topped_up(Held.UNKNOWN) << sends(token() * 3)
    assert played.event_held() == 20


def test_while_the_store_is_away_the_stream_goes_on_and_asks_again() -> None:
    played = growing() >> chunk(token() * 3) << None
    played = played.topped_up(None) << sends(token() * 3)
    for _ in range(2):  # a quarter of a step
        played = played.asks(0) >> chunk(token()) << sends(token())
    played = played.asks(0) >> chunk(token()) << None
    played = played.asks(8, waits=True).topped_up(Held.GRANTED) << sends(token())
    assert played.event_held() == 20


def test_a_store_that_comes_back_refusing_ends_what_went_on_without_it() -> None:
    played = (growing() >> chunk(token() * 3)).topped_up(None) >> chunk(token() * 3) << None
    played = played.topped_up(Held.OVER) << sends(token() * 3, ending(0), usage_and_done(10, 6), end=True)


def test_one_event_that_outgrows_several_steps_asks_for_all_of_them() -> None:
    played = growing(some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8, continuous_usage=True))
    large = {**delta("x"), "usage": {"prompt_tokens": 10, "completion_tokens": 30}}
    (played >> chunk(sse(large)) << None).asks(32, waits=True)


def test_an_engine_that_ends_while_bytes_wait_has_them_sent() -> None:
    played = growing() >> chunk(token() * 3) << None
    played = played >> last(DONE) << sends(token() * 3, DONE, end=True)
    assert played.event.outcome is Outcome.COMPLETE


def test_trailers_come_behind_the_bytes_that_wait() -> None:
    played = growing() >> chunk(token() * 3) << None
    played >>= response_trailers()
    assert played.replies() == [sends(token() * 3), "response_trailers"]
    assert (played.event.outcome, played.event.output_tokens) == (Outcome.UPSTREAM_ERROR, 3)


def test_a_client_that_leaves_while_bytes_wait_is_counted() -> None:
    played = (growing() >> chunk(token() * 3) << None).stop()
    assert (played.event.outcome, played.event.output_tokens) == (Outcome.CLIENT_ABORT, 3)
    assert played.topped_up(Held.OVER).steps[-1].replies == ()


def test_more_than_a_little_never_waits() -> None:
    large = token("x" * 300_000)
    (growing() >> chunk(token() * 3) << None >> chunk(large) << sends(token() * 3, large)).asks(0)


def test_an_event_above_the_limit_that_is_not_over_is_ended_before_the_last_chunk() -> None:
    part = b'data: {"choices":[{"delta":{"content":"' + b"x" * (2 << 20)
    played = growing() >> chunk(token() * 3) >> chunk(part)
    played = played.topped_up(Held.OVER) << sends(b"\n\n", ending(0), usage_and_done(10, 4), end=True)


def test_a_completion_is_ended_in_its_own_shape() -> None:
    context = some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8, endpoint=Endpoint.COMPLETIONS, add_usage=True)
    text = sse({"id": "c1", "object": "text_completion", "choices": [{"index": 0, "text": "abc"}]})
    end = b'data: {"id":"c1","object":"text_completion","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}\n\n'
    played = growing(context) >> chunk(text * 3)
    assert (played.topped_up(Held.OVER) << sends(text * 3, end, DONE, end=True)).event.output_tokens == 3


def test_a_response_is_ended_as_incomplete() -> None:
    context = some_context(held_tokens=11, prompt_tokens=10, top_up_tokens=8, endpoint=Endpoint.RESPONSES)
    played = growing(context) >> chunk(b"".join(map(named, response()[:3]))) << None
    sent = played.topped_up(Held.OVER).replies()[0]
    name, _, data = sent.split("\n\n")[-2].partition("\n")
    end = json.loads(data.removeprefix("data: "))
    assert (name, end["type"], end["sequence_number"]) == ("event: response.incomplete", "response.incomplete", 3)
    assert (end["response"]["id"], end["response"]["status"]) == ("r1", "incomplete")
    assert end["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert end["response"]["usage"]["total_tokens"] == 12
    assert played.event.output_tokens == 2


def test_a_message_is_ended_with_its_open_block_closed() -> None:
    context = some_context(held_tokens=12, prompt_tokens=10, top_up_tokens=8, endpoint=Endpoint.MESSAGES)
    begun = message(prompt=11)[:8]
    played = growing(context) >> chunk(b"".join(map(named, begun))) << None
    (sent,) = played.topped_up(Held.OVER).replies()
    ends = [json.loads(event.partition("data: ")[2]) for event in sent.removesuffix("\n\n and ends").split("\n\n")[len(begun) :]]
    assert ends == [
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    assert (played.event.input_tokens, played.event.output_tokens, played.event.usage_source) == (11, 2, UsageSource.COUNTED)


def test_an_answer_that_does_not_stream_passes_without_us() -> None:
    played = Playbook() >> request_headers(GROWING) >> response_headers(200, "application/json")
    assert played.machine.state is State.RESPONSE_BODY


def test_a_hold_asks_for_whole_steps_a_quarter_of_one_ahead() -> None:
    hold = Hold(100, 40)
    assert [hold.ask(used) for used in (0, 90, 91, 95)] == [0, 0, 40, 0]
    assert not hold.answered(Held.GRANTED, 95)
    assert (hold.held, hold.ask(131)) == (140, 40)
    assert not hold.answered(Held.OVER, 140)
    assert [hold.ask(used) for used in (139, 140, 141)] == [0, 0, 40]
    assert (hold.covers(140), hold.covers(141)) == (True, False)
    assert hold.answered(Held.OVER, 141)
