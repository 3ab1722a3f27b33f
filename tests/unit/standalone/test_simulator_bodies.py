"""Requests and chunks in vLLM's form."""

from typing import Any

import pytest

from standalone.engine_simulator import bodies
from standalone.engine_simulator.bodies import Answer, BadRequest, parse_generation
from standalone.engine_simulator.tokens import MESSAGE_TOKENS

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}
PROMPT = 2 + MESSAGE_TOKENS


def answer(**more: Any) -> Answer:
    return Answer(parse_generation({**CHAT, "stream": True, **more}, chat=True), "chatcmpl-1", 7)


def test_the_role_comes_first_and_has_no_token() -> None:
    chunk = answer().role(0)
    assert chunk["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}]
    assert chunk["object"] == "chat.completion.chunk"


def test_without_include_usage_no_chunk_has_a_usage_member() -> None:
    plain = answer()
    assert "usage" not in plain.role(0)
    assert "usage" not in plain.token(0, " a", "stop", 1)


def test_include_usage_adds_one_chunk_without_choices_and_nothing_to_the_others() -> None:
    asked = answer(stream_options={"include_usage": True})
    assert "usage" not in asked.token(0, " a", None, 1)
    final = asked.final_usage(3)
    assert final["choices"] == []
    assert final["usage"] == {"prompt_tokens": PROMPT, "total_tokens": PROMPT + 3, "completion_tokens": 3}


def test_continuous_usage_runs_along() -> None:
    running = answer(stream_options={"include_usage": True, "continuous_usage_stats": True})
    assert running.role(0)["usage"]["completion_tokens"] == 0
    assert running.token(0, " a", None, 2)["usage"] == {"prompt_tokens": PROMPT, "total_tokens": PROMPT + 2, "completion_tokens": 2}


def test_continuous_usage_without_include_usage_is_nothing() -> None:
    assert "usage" not in answer(stream_options={"continuous_usage_stats": True}).role(0)


def test_only_the_last_token_of_a_choice_tells_why_it_ends() -> None:
    assert answer().token(0, "a", None, 1)["choices"][0]["finish_reason"] is None
    last = answer().token(0, "a", "length", 2)["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("length", None)


def test_max_completion_tokens_comes_before_the_older_name() -> None:
    assert answer(max_tokens=9, max_completion_tokens=4).request.cap == 4
    assert answer(max_tokens=9).request.cap == 9
    assert answer().request.cap is None


def test_several_prompts_and_n_multiply_the_choices_and_count_each_prompt_once() -> None:
    request = parse_generation({"model": "m", "prompt": ["one", "one two"], "n": 3}, chat=False)
    assert (request.choices, request.prompt_tokens, request.cap) == (6, 3, 16)


def test_a_completion_has_text_where_a_chat_has_messages() -> None:
    text = Answer(parse_generation({"model": "m", "prompt": "one"}, chat=False), "cmpl-1", 7).whole(["a b"], "stop", 2)
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", "a b")
    chat = Answer(parse_generation(CHAT, chat=True), "chatcmpl-1", 7).whole(["a b"], "stop", 2)
    assert (chat["object"], chat["choices"][0]["message"]["content"]) == ("chat.completion", "a b")
    assert chat["usage"]["total_tokens"] == PROMPT + 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stream_options": {"include_usage": True}}, "Stream options"),
        ({"messages": "hello"}, "messages"),
        ({"messages": None}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n must"),
        ({"n": "two"}, "n must"),
    ],
    ids=repr,
)
def test_what_vllm_refuses(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        parse_generation({**CHAT, **change}, chat=True)


def test_an_unknown_model_gets_vllms_own_error() -> None:
    assert bodies.unknown_model("x") == {
        "error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
    }
