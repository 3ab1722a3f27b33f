"""Chat completions and completions in vLLM's form."""

from typing import Any

import pytest

from standalone.engine_simulator import chat
from standalone.engine_simulator.behaviour import Reports
from standalone.engine_simulator.chat import Completion
from standalone.engine_simulator.spelling import BadRequest, Choice, Used
from standalone.engine_simulator.tokens import MESSAGE_TOKENS, Piece

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}
PROMPT = 2 + MESSAGE_TOKENS


def parse(body: dict[str, Any], *, is_chat: bool = True, reports: Reports = "asked") -> Completion:
    return chat.parse(body, chat=is_chat, reports=reports, response_id="1", created=7)


def stream(reports: Reports = "asked", **more: Any) -> Completion:
    return parse({**CHAT, "stream": True, **more}, reports=reports)


def used(output: int, cached: int = 0, reasoning: int = 0) -> Used:
    return Used(PROMPT, cached, output, reasoning)


def opening(spelled: Completion) -> list[dict[str, Any]]:
    return [event.data for event in spelled.opening(used(0))]


def token(spelled: Completion, generated: int = 1, **how: Any) -> dict[str, Any]:
    [event] = spelled.piece(0, Piece(" a", 1, generated, how.pop("thought", False), how.pop("finish", None)), used(generated, **how))
    return event.data


def closing(spelled: Completion, output: int = 3) -> list[dict[str, Any]]:
    return [event.data for event in spelled.closing(used(output))]


def test_the_role_comes_first_and_has_no_token() -> None:
    [chunk] = opening(stream())
    assert chunk["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}]
    assert chunk["object"] == "chat.completion.chunk"
    assert opening(parse({"model": "m", "prompt": "one", "stream": True}, is_chat=False)) == []


def test_without_include_usage_no_chunk_has_a_usage_member() -> None:
    plain = stream()
    assert not any("usage" in chunk for chunk in (*opening(plain), token(plain, finish="stop")))
    assert closing(plain) == []


def test_include_usage_adds_one_chunk_without_choices_and_nothing_to_the_others() -> None:
    asked = stream(stream_options={"include_usage": True})
    assert "usage" not in token(asked)
    [final] = closing(asked)
    assert final["choices"] == []
    assert final["usage"] == {"prompt_tokens": PROMPT, "total_tokens": PROMPT + 3, "completion_tokens": 3}


def test_continuous_usage_runs_along() -> None:
    running = stream(stream_options={"include_usage": True, "continuous_usage_stats": True})
    assert opening(running)[0]["usage"]["completion_tokens"] == 0
    assert token(running, 2)["usage"] == {"prompt_tokens": PROMPT, "total_tokens": PROMPT + 2, "completion_tokens": 2}


def test_continuous_usage_without_include_usage_is_nothing() -> None:
    assert "usage" not in opening(stream(stream_options={"continuous_usage_stats": True}))[0]


@pytest.mark.parametrize(("reports", "running", "final"), [("never", False, False), ("forced", False, True), ("continuous", True, True)])
def test_an_engine_may_be_started_to_report_otherwise(reports: Reports, running: bool, final: bool) -> None:
    for options in ({}, {"stream_options": {"include_usage": False}}):
        told = stream(reports, **options)
        assert ("usage" in token(told), len(closing(told))) == (running, int(final))
    assert ("usage" in parse(CHAT, reports=reports).whole([Choice("", "a", "stop")], used(1))) == final


def test_cached_and_reasoning_tokens_are_parts_of_the_others() -> None:
    [final] = [event.data for event in stream(stream_options={"include_usage": True}).closing(used(9, cached=4, reasoning=5))]
    assert final["usage"] == {
        "prompt_tokens": PROMPT,
        "total_tokens": PROMPT + 9,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


def test_reasoning_has_a_member_of_its_own() -> None:
    assert token(stream(), thought=True)["choices"][0]["delta"] == {"reasoning": " a"}
    whole = parse(CHAT).whole([Choice("hm", "a", "stop")], used(2))
    assert (whole["choices"][0]["message"]["reasoning"], whole["choices"][0]["message"]["content"]) == ("hm", "a")


def test_only_the_last_token_of_a_choice_tells_why_it_ends() -> None:
    assert token(stream())["choices"][0]["finish_reason"] is None
    last = token(stream(), 2, finish="length")["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("length", None)


def test_max_completion_tokens_comes_before_the_older_name() -> None:
    assert stream(max_tokens=9, max_completion_tokens=4).asked.cap == 4
    assert stream(max_tokens=9).asked.cap == 9
    assert stream().asked.cap is None


def test_several_prompts_and_n_multiply_the_choices_and_count_each_prompt_once() -> None:
    asked = parse({"model": "m", "prompt": ["one", "one two"], "n": 3}, is_chat=False).asked
    assert (asked.choices, asked.prompt_tokens, asked.cap) == (6, 3, 16)


def test_a_completion_has_text_where_a_chat_has_messages() -> None:
    text = parse({"model": "m", "prompt": "one"}, is_chat=False).whole([Choice("", "a b", "stop")], used(2))
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", "a b")
    answer = parse(CHAT).whole([Choice("", "a b", "stop")], used(2))
    assert (answer["object"], answer["choices"][0]["message"]["content"]) == ("chat.completion", "a b")
    assert answer["usage"]["total_tokens"] == PROMPT + 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stream_options": {"include_usage": True}}, "Stream options"),
        ({"messages": "hello"}, "messages"),
        ({"messages": None}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_completion_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n must"),
        ({"n": "two"}, "n must"),
    ],
    ids=repr,
)
def test_what_vllm_refuses(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        parse({**CHAT, **change})


def test_errors_are_vllms_own() -> None:
    assert chat.error(404, "The model `x` does not exist.", "model") == {
        "error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
    }
