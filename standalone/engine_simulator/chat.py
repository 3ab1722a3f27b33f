"""Chat completions and completions in vLLM's form (`vllm/entrypoints/openai/`). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from standalone.engine_simulator.behaviour import Reports
from standalone.engine_simulator.spelling import Asked, BadRequest, Choice, Event, Json, Used, cap, is_count
from standalone.engine_simulator.tokens import Piece, chat_prompt_tokens, prompts_of

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Completion:
    """Spells one chat completion, or one completion."""

    asked: Asked
    response_id: str
    created: int
    chat: bool
    final_usage: bool
    """The stream ends with a chunk of usage, or the whole answer has it."""
    running_usage: bool
    """Every chunk says what its choice has used so far."""
    done: bytes = DONE

    def opening(self, used: Used) -> Iterable[Event]:
        """A chat opens each choice with its role; that chunk has no token."""
        if not self.chat:
            return
        for index in range(self.asked.choices):
            delta = {"role": "assistant", "content": ""}
            yield self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": None}, used)

    def piece(self, index: int, piece: Piece, used: Used) -> Iterable[Event]:
        name = "reasoning" if piece.thought else "content"
        payload: Json = {"delta": {name: piece.text}} if self.chat else {"text": piece.text}
        ending: Json = {"finish_reason": piece.finish} if piece.finish is None else {"finish_reason": piece.finish, "stop_reason": None}
        yield self._chunk({"index": index, **payload, "logprobs": None, **ending}, used)

    def closing(self, used: Used) -> Iterable[Event]:
        if self.final_usage:
            yield Event({**self._head(), "choices": [], "usage": usage(used)})

    def whole(self, choices: list[Choice], used: Used) -> Json:
        listed = [self._whole_choice(index, choice) for index, choice in enumerate(choices)]
        reported = {"usage": {**usage(used), **_details(used, always=True)}} if self.final_usage else {}
        return {**self._head(), "choices": listed, **reported}

    def failed(self) -> Event:
        return Event(error(500, "EngineCore encountered an issue."))

    def _whole_choice(self, index: int, choice: Choice) -> Json:
        payload: Json = {"text": choice.thought + choice.text}
        if self.chat:
            message: Json = {"role": "assistant", "content": choice.text, "refusal": None, "tool_calls": []}
            payload = {"message": message | ({"reasoning": choice.thought} if choice.thought else {})}
        return {"index": index, **payload, "logprobs": None, "finish_reason": choice.finish, "stop_reason": None}

    def _chunk(self, choice: Json, used: Used) -> Event:
        running = {"usage": usage(used)} if self.running_usage else {}
        return Event({**self._head(), "choices": [choice], **running})

    def _head(self) -> Json:
        name = "text_completion" if not self.chat else "chat.completion.chunk" if self.asked.stream else "chat.completion"
        return {"id": self.response_id, "object": name, "created": self.created, "model": self.asked.model}


def parse(body: Json, *, chat: bool, reports: Reports, response_id: str, created: int) -> Completion:
    """Read a request; raise BadRequest."""
    options = body.get("stream_options") or {}
    stream = bool(body.get("stream"))
    if options and not stream:
        raise BadRequest("Stream options can only be defined when `stream=True`.")
    if chat:
        prompt_tokens, prompts, most = _chat_prompt(body), 1, cap(body, "max_completion_tokens", "max_tokens")
    else:
        sizes = sizes_of(body.get("prompt"), "prompt")
        prompt_tokens, prompts, most = sum(sizes), len(sizes), cap(body, "max_tokens", default=16)
    n = 1 if body.get("n") is None else body["n"]
    if not is_count(n):
        raise BadRequest(f"n must be at least 1, got {n}.")
    asked = Asked(str(body.get("model")), prompt_tokens, prompts * n, most, stream, str(body.get("messages" if chat else "prompt"))[:10_000])
    final = reports != "never" and (reports != "asked" or not stream or bool(options.get("include_usage")))
    running = reports == "continuous" or (final and bool(options.get("continuous_usage_stats")))
    return Completion(asked, f"{'chatcmpl' if chat else 'cmpl'}-{response_id}", created, chat, final, running)


def sizes_of(prompt: object, name: str) -> list[int]:
    """Return the size of each prompt or input; raise BadRequest that names the member."""
    try:
        return prompts_of(prompt)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}") from None


def usage(used: Used) -> Json:
    """Usage as vLLM orders it; details only where there are some."""
    numbers = {"prompt_tokens": used.prompt, "total_tokens": used.prompt + used.output, "completion_tokens": used.output}
    return {**numbers, **_details(used)}


def error(status: int, message: str, param: str | None = None) -> Json:
    """vLLM's error body: `type` is the status in words, `code` the status itself."""
    kinds = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError"}
    return {"error": {"message": message, "type": kinds.get(status, "InternalServerError"), "param": param, "code": status}}


def _chat_prompt(body: Json) -> int:
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("messages: expected a list of messages")
    return chat_prompt_tokens(messages)


def _details(used: Used, *, always: bool = False) -> Json:
    prompt = {"prompt_tokens_details": {"cached_tokens": used.cached}} if used.cached else {"prompt_tokens_details": None} if always else {}
    return prompt | ({"completion_tokens_details": {"reasoning_tokens": used.reasoning}} if used.reasoning else {})
