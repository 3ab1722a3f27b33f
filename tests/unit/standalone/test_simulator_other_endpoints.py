"""The Responses and the Messages API: their events in order, their names for usage."""

from typing import Any

import pytest

from standalone.engine_simulator import messages, responses
from standalone.engine_simulator.spelling import BadRequest, Choice, Event, Spelling, Used
from standalone.engine_simulator.tokens import MESSAGE_TOKENS, pieces

USED = Used(prompt=10, cached=4, output=3, reasoning=1)
MESSAGES: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "one two"}], "max_tokens": 3, "stream": True}


def stream(spelled: Spelling, tokens: int = 2, reasoning: int = 0) -> list[Event]:
    """One stream from its first to its last event."""
    parts = pieces("seed", tokens, "stop", reasoning=reasoning)
    return [*spelled.opening(USED), *(event for piece in parts for event in spelled.piece(0, piece, USED)), *spelled.closing(USED)]


def response(**members: Any) -> responses.Response:
    return responses.parse({"model": "m", "input": "one two", "stream": True, **members}, reports="asked", response_id="1", created=7)


def message(**members: Any) -> messages.Message:
    return messages.parse({**MESSAGES, **members}, reports="asked", response_id="1")


def test_every_event_is_named_as_its_type_says() -> None:
    for event in (*stream(response()), *stream(message())):
        assert event.name == event.data["type"]


def test_a_response_in_order() -> None:
    events = stream(response(), tokens=3, reasoning=1)
    assert [event.name for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    text = "".join(event.data["delta"] for event in events if event.name == "response.output_text.delta")
    assert events[-1].data["response"]["output"][1]["content"][0]["text"] == text
    assert response().done == b""


def test_usage_of_a_response_comes_at_its_end() -> None:
    *before, last = stream(response())
    assert not [event for event in before if event.data.get("response", {}).get("usage")]
    assert last.data["response"]["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 13,
    }


def test_a_response_that_meets_its_cap_is_incomplete() -> None:
    whole = response(stream=False, max_output_tokens=2).whole([Choice("", "a b", "length")], USED)
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["output"][0]["content"][0]["text"] == "a b"


@pytest.mark.parametrize("given", ["one two", [{"role": "user", "content": "one two"}], [{"content": [{"type": "input_text", "text": "one two"}]}]])
def test_every_form_of_input(given: object) -> None:
    assert response(input=given).asked.prompt_tokens == 2 + MESSAGE_TOKENS
    assert response(input=given, instructions="be brief").asked.prompt_tokens == 4 + 2 * MESSAGE_TOKENS


def test_a_message_in_order() -> None:
    events = stream(message(), tokens=3, reasoning=1)
    assert [event.name for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event.data["delta"]["type"] for event in events if event.name == "content_block_delta"] == ["thinking_delta", "text_delta", "text_delta"]
    assert events[-2].data["delta"]["stop_reason"] == "end_turn"


def test_input_of_a_message_is_what_was_not_cached() -> None:
    start, *_, delta, _ = stream(message())
    expected = {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3}
    assert start.data["message"]["usage"] == delta.data["usage"] == expected


def test_a_message_needs_a_cap_and_counts_its_system_prompt() -> None:
    assert message(system="be brief").asked.prompt_tokens == 4 + 2 * MESSAGE_TOKENS
    assert message().asked.cap == 3
    with pytest.raises(BadRequest, match="max_tokens"):
        message(max_tokens=None)


def test_an_engine_that_reports_nothing() -> None:
    silent = responses.parse({"model": "m", "input": "x"}, reports="never", response_id="1", created=7)
    assert silent.whole([Choice("", "a", "stop")], USED)["usage"] is None
    silent_message = messages.parse(MESSAGES, reports="never", response_id="1")
    assert "usage" not in silent_message.whole([Choice("", "a", "stop")], USED)


def test_a_failure_inside_a_stream_has_the_endpoints_own_event() -> None:
    assert response().failed().name == "response.failed"
    assert message().failed().data == {"type": "error", "error": {"type": "api_error", "message": "EngineCore encountered an issue."}}
