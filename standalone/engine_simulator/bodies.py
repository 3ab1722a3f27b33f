"""Requests and responses in vLLM's form (its OpenAI-compatible server, `vllm/entrypoints/openai/protocol.py`). Pure."""

import base64
import struct
from dataclasses import dataclass
from typing import Any

from standalone.engine_simulator.tokens import FinishReason, chat_prompt_tokens, prompts_of

Json = dict[str, Any]


class BadRequest(Exception):
    """vLLM would refuse the request with 400; the message is its reason."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A chat or text completion to be made."""

    chat: bool
    model: str
    prompt_tokens: int
    choices: int
    cap: int | None
    """Most tokens of each choice; None: as many as come naturally."""
    stream: bool
    include_usage: bool
    continuous_usage: bool
    seed: str

    @property
    def object_name(self) -> str:
        """vLLM's `object` of the answer, of a chunk when streamed."""
        if not self.chat:
            return "text_completion"
        return "chat.completion.chunk" if self.stream else "chat.completion"


def parse_generation(body: Json, *, chat: bool) -> Generation:
    """Read a request; raise BadRequest."""
    options = body.get("stream_options") or {}
    stream = bool(body.get("stream"))
    if options and not stream:
        raise BadRequest("Stream options can only be defined when `stream=True`.")
    if chat:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise BadRequest("messages: expected a list of messages")
        prompt_tokens, prompts, cap = chat_prompt_tokens(messages), 1, _first(body, "max_completion_tokens", "max_tokens")
    else:
        sizes = _sizes(body.get("prompt"), "prompt")
        prompt_tokens, prompts, cap = sum(sizes), len(sizes), body.get("max_tokens", 16)
    n = 1 if body.get("n") is None else body["n"]
    for name, value in (("max_tokens", cap), ("n", n)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise BadRequest(f"{name} must be at least 1, got {value}.")
    include_usage = bool(options.get("include_usage"))
    return Generation(
        chat=chat,
        model=str(body.get("model")),
        prompt_tokens=prompt_tokens,
        choices=prompts * n,
        cap=cap,
        stream=stream,
        include_usage=include_usage,
        continuous_usage=include_usage and bool(options.get("continuous_usage_stats")),
        seed=str(body.get("messages" if chat else "prompt"))[:10_000],
    )


def embedding_sizes(body: Json) -> list[int]:
    """Return the size of each input of an embeddings request; raise BadRequest."""
    return _sizes(body.get("input"), "input")


def _first(body: Json, *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)


def _sizes(prompt: object, name: str) -> list[int]:
    try:
        return prompts_of(prompt)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}") from None


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """Usage as vLLM orders it."""
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + completion_tokens, "completion_tokens": completion_tokens}


@dataclass(frozen=True, slots=True)
class Answer:
    """Renders the parts of one answer."""

    request: Generation
    response_id: str
    created: int

    def role(self, index: int) -> Json:
        """The chunk that opens a choice of a chat: it has a role and no token."""
        return self._chunk({"index": index, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}, 0)

    def token(self, index: int, text: str, finish: FinishReason | None, generated: int) -> Json:
        """The chunk of one token. `generated` counts the choice's tokens so far, for continuous usage."""
        payload = {"delta": {"content": text}} if self.request.chat else {"text": text}
        ending: Json = {"finish_reason": finish} if finish is None else {"finish_reason": finish, "stop_reason": None}
        return self._chunk({"index": index, **payload, "logprobs": None, **ending}, generated)

    def final_usage(self, generated: int) -> Json:
        """The chunk after the last token when usage was asked for: no choices."""
        return {**self._head(), "choices": [], "usage": usage(self.request.prompt_tokens, generated)}

    def whole(self, texts: list[str], finish: FinishReason, generated: int) -> Json:
        """The answer that is not streamed."""
        choices: list[Json] = [
            {
                "index": index,
                **({"message": {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}} if self.request.chat else {"text": text}),
                "logprobs": None,
                "finish_reason": finish,
                "stop_reason": None,
            }
            for index, text in enumerate(texts)
        ]
        return {**self._head(), "choices": choices, "usage": {**usage(self.request.prompt_tokens, generated), "prompt_tokens_details": None}}

    def _chunk(self, choice: Json, generated: int) -> Json:
        running = {"usage": usage(self.request.prompt_tokens, generated)} if self.request.continuous_usage else {}
        return {**self._head(), "choices": [choice], **running}

    def _head(self) -> Json:
        return {"id": self.response_id, "object": self.request.object_name, "created": self.created, "model": self.request.model}


def embeddings(response_id: str, created: int, model: str, vectors: list[list[float]], prompt_tokens: int, encoding: str) -> Json:
    """The answer to an embeddings request; `encoding` is `float` or `base64` (little-endian float32)."""
    data = [
        {
            "index": index,
            "object": "embedding",
            "embedding": base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if encoding == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    return {"id": response_id, "object": "list", "created": created, "model": model, "data": data, "usage": usage(prompt_tokens, 0)}


def error(status: int, message: str, param: str | None = None) -> Json:
    """vLLM's error body: `type` is the status in words, `code` the status itself."""
    kinds = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError"}
    return {"error": {"message": message, "type": kinds.get(status, "InternalServerError"), "param": param, "code": status}}


def unknown_model(name: object) -> Json:
    """vLLM's answer to a model that it does not serve."""
    return error(404, f"The model `{name}` does not exist.", "model")


def model_list(names: tuple[str, ...], created: int) -> Json:
    """The answer of `/v1/models`."""
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": created, "owned_by": "vllm", "root": name, "parent": None, "max_model_len": 131_072}
            for name in names
        ],
    }
