"""Streams of OpenAI's responses: typed events with a sequence number; the last one holds the response with its usage.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

import msgspec

from extproc.dialects.reading import EMPTY, NOTHING, UNREADABLE, Count, Reading, Usage, event
from extproc.tokens import Tokens

_LAST = {"response.completed": False, "response.incomplete": False, "response.failed": True}
"""Types of events that end a stream, and whether the engine failed."""
_KEPT_BYTES = 64 * 1024
"""Of the response as it was announced, to end the stream with it; a larger one is ended in few words."""


class _Event(msgspec.Struct):
    type: str = ""
    delta: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING
    sequence_number: Count = None


class _Response(msgspec.Struct):
    usage: Usage | None = None


_event = msgspec.json.Decoder(_Event)
_response = msgspec.json.Decoder(_Response)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ResponsesReader:
    """Reads one stream. Clients always get the usage here, so nothing is taken out."""

    __slots__ = ("_announced", "_sequence", "seen")

    def __init__(self) -> None:
        self.seen = Reading()
        self._announced = b"{}"
        self._sequence = -1

    def on_data(self, data: bytes) -> None:
        seen = self.seen
        if data == b"[DONE]":  # OpenAI sends none, some engines do
            seen.done = True
            return
        try:
            said = _event.decode(data)
        except UNREADABLE:
            seen.deltas += 1
            return
        if said.sequence_number is not None:
            self._sequence = said.sequence_number
        if said.type.endswith(".delta"):
            seen.deltas += bytes(said.delta) not in EMPTY
        elif said.type == "error":
            seen.failed = True
        elif (failed := _LAST.get(said.type)) is not None:
            seen.done = True
            seen.failed |= failed
            self._read_usage(said.response)
        elif 0 < len(announced := bytes(said.response)) <= _KEPT_BYTES:
            self._announced = announced

    def ending(self, tokens: Tokens) -> bytes:
        """`response.incomplete`, as after `max_output_tokens`."""
        usage = {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": tokens.cached_input},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.total,
        }
        response: dict[str, object] = {"object": "response", "output": [], **_members.decode(self._announced)}
        response |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": usage}
        kind = "response.incomplete"
        return event({"type": kind, "sequence_number": self._sequence + 1, "response": response}, kind)

    def _read_usage(self, response: msgspec.Raw) -> None:
        try:
            usage = _response.decode(response).usage
        except UNREADABLE:
            return
        if usage is not None:
            usage.into(self.seen)
