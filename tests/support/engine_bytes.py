"""What engines answer, as bytes."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"


def sse(data: object, end: bytes = b"\n\n") -> bytes:
    """One event with JSON data, spelled as vLLM spells it."""
    return b"data: " + json.dumps(data).encode() + end


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
