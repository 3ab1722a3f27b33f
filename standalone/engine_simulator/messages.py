"""The Messages API, its events in Anthropic's order (Anthropic API reference, "Streaming messages"). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from standalone.engine_simulator.behaviour import Reports
from standalone.engine_simulator.spelling import Asked, BadRequest, Choice, Event, Json, Used, cap
from standalone.engine_simulator.tokens import FinishReason, Piece, chat_prompt_tokens

_STOP_REASON: dict[FinishReason, str] = {"stop": "end_turn", "length": "max_tokens"}


@dataclass(slots=True)
class Message:
    """Spells one message; remembers which content block is open."""

    asked: Asked
    response_id: str
    reports: Reports
    done: bytes = b""
    _blocks: int = 0
    _thinking: bool = False
    _finish: FinishReason = "stop"

    def opening(self, used: Used) -> Iterable[Event]:
        yield self._event("message_start", message=self._message([], None, used))
        yield self._event("ping")

    def piece(self, index: int, piece: Piece, used: Used) -> Iterable[Event]:
        if not self._blocks or self._thinking != piece.thought:
            yield from self._close_block()
            self._blocks, self._thinking = self._blocks + 1, piece.thought
            yield self._event("content_block_start", index=self._blocks - 1, content_block=_block(piece.thought, ""))
        delta = {"type": "thinking_delta", "thinking": piece.text} if piece.thought else {"type": "text_delta", "text": piece.text}
        yield self._event("content_block_delta", index=self._blocks - 1, delta=delta)
        self._finish = piece.finish or self._finish

    def closing(self, used: Used) -> Iterable[Event]:
        yield from self._close_block()
        delta = {"stop_reason": _STOP_REASON[self._finish], "stop_sequence": None}
        yield self._event("message_delta", delta=delta, **self._usage(used))
        yield self._event("message_stop")

    def whole(self, choices: list[Choice], used: Used) -> Json:
        [choice] = choices
        thought = [_block(True, choice.thought)] if choice.thought else []
        return self._message([*thought, _block(False, choice.text)], _STOP_REASON[choice.finish], used)

    def failed(self) -> Event:
        return Event(error(500, "EngineCore encountered an issue."), "error")

    def _close_block(self) -> Iterable[Event]:
        if self._blocks:
            yield self._event("content_block_stop", index=self._blocks - 1)

    def _event(self, kind: str, **members: object) -> Event:
        return Event({"type": kind, **members}, kind)

    def _message(self, content: list[Json], stop_reason: str | None, used: Used) -> Json:
        return {
            "id": f"msg_{self.response_id}",
            "type": "message",
            "role": "assistant",
            "model": self.asked.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            **self._usage(used),
        }

    def _usage(self, used: Used) -> Json:
        return {} if self.reports == "never" else {"usage": usage(used)}


def parse(body: Json, *, reports: Reports, response_id: str) -> Message:
    """Read a request; raise BadRequest."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("messages: expected a list of messages")
    most = cap(body, "max_tokens")
    if most is None:
        raise BadRequest("max_tokens: field required")
    system = [{"content": body["system"]}] if body.get("system") else []
    asked = Asked(str(body.get("model")), chat_prompt_tokens([*system, *messages]), 1, most, bool(body.get("stream")), str(messages)[:10_000])
    return Message(asked, response_id, reports)


def usage(used: Used) -> Json:
    """Usage as Anthropic counts it: `input_tokens` are those that were not cached. Reasoning is not told apart."""
    return {
        "input_tokens": used.prompt - used.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.output,
    }


def error(status: int, message: str) -> Json:
    """Anthropic's error body."""
    kinds = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


def _block(thought: bool, text: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": ""} if thought else {"type": "text", "text": text}
