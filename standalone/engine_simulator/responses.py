"""The Responses API, its events in OpenAI's order (OpenAI API reference, "Streaming events"). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from standalone.engine_simulator.behaviour import Reports
from standalone.engine_simulator.spelling import Asked, BadRequest, Choice, Event, Json, Used, cap
from standalone.engine_simulator.tokens import FinishReason, Piece, chat_prompt_tokens


@dataclass(slots=True)
class Response:
    """Spells one response. It is a transcript with numbered events, so it remembers what it has said."""

    asked: Asked
    response_id: str
    created: int
    reports: Reports
    done: bytes = b""
    _number: int = -1
    _items: list[Json] = field(default_factory=list)
    _text: str = ""
    _finish: FinishReason = "stop"

    def opening(self, used: Used) -> Iterable[Event]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._response("in_progress", [], None))

    def piece(self, index: int, piece: Piece, used: Used) -> Iterable[Event]:
        if not self._items or (self._items[-1]["type"] == "reasoning") != piece.thought:
            yield from self._close_item()
            yield from self._open_item(piece.thought)
        self._text += piece.text
        kind = "response.reasoning_text.delta" if piece.thought else "response.output_text.delta"
        yield self._event(kind, **self._place(), delta=piece.text, **({} if piece.thought else {"logprobs": []}))
        self._finish = piece.finish or self._finish

    def closing(self, used: Used) -> Iterable[Event]:
        yield from self._close_item()
        status = "completed" if self._finish == "stop" else "incomplete"
        yield self._event(f"response.{status}", response=self._response(status, self._items, used))

    def whole(self, choices: list[Choice], used: Used) -> Json:
        [choice] = choices
        thought = [_item("reasoning", f"rs_{self.response_id}", choice.thought)] if choice.thought else []
        status = "completed" if choice.finish == "stop" else "incomplete"
        return self._response(status, [*thought, _item("message", f"msg_{self.response_id}", choice.text)], used)

    def failed(self) -> Event:
        failure = {"code": "server_error", "message": "EngineCore encountered an issue."}
        return self._event("response.failed", response={**self._response("failed", self._items, None), "error": failure})

    def _open_item(self, thought: bool) -> Iterable[Event]:
        kind, prefix = ("reasoning", "rs") if thought else ("message", "msg")
        self._text = ""
        self._items.append(_item(kind, f"{prefix}_{self.response_id}", ""))
        opened = {**self._items[-1], "status": "in_progress", "content": []}
        yield self._event("response.output_item.added", output_index=len(self._items) - 1, item=opened)
        yield self._event("response.content_part.added", **self._place(), part=self._items[-1]["content"][0])

    def _close_item(self) -> Iterable[Event]:
        if not self._items:
            return
        kind = self._items[-1]["type"]
        self._items[-1] = _item(kind, self._items[-1]["id"], self._text)
        name = "reasoning_text" if kind == "reasoning" else "output_text"
        yield self._event(f"response.{name}.done", **self._place(), text=self._text)
        yield self._event("response.content_part.done", **self._place(), part=self._items[-1]["content"][0])
        yield self._event("response.output_item.done", output_index=len(self._items) - 1, item=self._items[-1])

    def _place(self) -> Json:
        return {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1, "content_index": 0}

    def _event(self, kind: str, **members: object) -> Event:
        self._number += 1
        return Event({"type": kind, "sequence_number": self._number, **members}, kind)

    def _response(self, status: str, output: list[Json], used: Used | None) -> Json:
        return {
            "id": f"resp_{self.response_id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "error": None,
            "model": self.asked.model,
            "output": output,
            "max_output_tokens": self.asked.cap,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage(used) if used is not None and self.reports != "never" else None,
        }


def parse(body: Json, *, reports: Reports, response_id: str, created: int) -> Response:
    """Read a request; raise BadRequest."""
    given = body.get("input")
    if isinstance(given, str):
        messages: list[Json] = [{"content": given}]
    elif isinstance(given, list) and all(isinstance(item, dict) for item in given):
        messages = given
    else:
        raise BadRequest("input: expected a text or a list of items")
    if body.get("instructions"):
        messages = [{"content": str(body["instructions"])}, *messages]
    asked = Asked(
        str(body.get("model")), chat_prompt_tokens(messages), 1, cap(body, "max_output_tokens"), bool(body.get("stream")), str(given)[:10_000]
    )
    return Response(asked, response_id, created, reports)


def usage(used: Used) -> Json:
    """Usage as the Responses API names it."""
    return {
        "input_tokens": used.prompt,
        "input_tokens_details": {"cached_tokens": used.cached},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt + used.output,
    }


def _item(kind: str, item_id: str, text: str) -> Json:
    if kind == "reasoning":
        return {"id": item_id, "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}], "status": "completed"}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
