"""What engines answer, as bytes."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"


def sse(data: object, end: bytes = b"\n\n") -> bytes:
    """One event with JSON data."""
    return b"data: " + json.dumps(data).encode() + end


def named(data: dict[str, Any]) -> bytes:
    """One event with its type as its name, as responses and messages are streamed."""
    return f"event: {data['type']}\n".encode() + sse(data)


def delta(content: str | None = None, **delta_members: Any) -> dict[str, Any]:
    """A chunk of a streamed chat completion."""
    members = delta_members if content is None else {"content": content, **delta_members}
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": members, "finish_reason": None}]}


def usage(prompt: int = 11, completion: int = 3, cached: int | None = None, reasoning: int | None = None) -> dict[str, Any]:
    """The usage object."""
    found: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return found


def usage_chunk(**numbers: int) -> dict[str, Any]:
    """The chunk that `include_usage` adds before `[DONE]`."""
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": usage(**numbers)}


def completion(**numbers: int) -> bytes:
    """A whole, not streamed answer."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": "a b c"}, "finish_reason": "stop"}]
    return json.dumps({"id": "c1", "object": "chat.completion", "choices": choices, "usage": usage(**numbers)}).encode()


def response(**numbers: int) -> list[dict[str, Any]]:
    """A streamed response of OpenAI's newer endpoint: two pieces of text."""
    shell = {"id": "r1", "object": "response", "model": "chat", "status": "in_progress", "output": [], "usage": None}
    done = {**shell, "status": "completed", "usage": response_usage(**numbers)}
    text = {"item_id": "m1", "output_index": 0, "content_index": 0}
    return [
        {"type": "response.created", "sequence_number": 0, "response": shell},
        {"type": "response.output_text.delta", "sequence_number": 1, **text, "delta": "a"},
        {"type": "response.output_text.delta", "sequence_number": 2, **text, "delta": "b"},
        {"type": "response.output_text.done", "sequence_number": 3, **text, "text": "ab"},
        {"type": "response.completed", "sequence_number": 4, "response": done},
    ]


def response_usage(prompt: int = 11, completion: int = 3, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt + completion,
    }


def message(prompt: int = 11, completion: int = 3, cached: int = 0) -> list[dict[str, Any]]:
    """A streamed message of Anthropic's: a thought and a piece of text. What is read from the cache is not part of `input_tokens`."""
    before = {"input_tokens": prompt - cached, "cache_read_input_tokens": cached, "cache_creation_input_tokens": 0, "output_tokens": 1}
    return [
        {"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant", "content": [], "model": "chat", "usage": before}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "xyz"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": completion}},
        {"type": "message_stop"},
    ]
