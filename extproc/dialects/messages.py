"""Streams of Anthropic's messages: the prompt's usage comes first, the output's, cumulative, in `message_delta`.

https://docs.anthropic.com/en/api/messages-streaming
"""

import msgspec

from extproc.dialects.reading import EMPTY, UNREADABLE, Count, Reading, Usage, event
from extproc.tokens import Tokens


class _Message(msgspec.Struct):
    usage: Usage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: Count = 0
    delta: dict[str, msgspec.Raw] | None = None
    message: _Message | None = None
    usage: Usage | None = None


_MAX_OPEN = 1024
"""Blocks of a message that are open at once; those above it are not closed where the answer is ended early."""

_event = msgspec.json.Decoder(_Event)


class MessagesReader:
    """Reads one stream. Clients always get the usage here, so nothing is taken out."""

    __slots__ = ("_open", "seen")

    def __init__(self) -> None:
        self.seen = Reading()
        self._open: set[int] = set()

    def on_data(self, data: bytes) -> None:
        seen = self.seen
        try:
            said = _event.decode(data)
        except UNREADABLE:
            seen.deltas += 1
            return
        match said.type:
            case "content_block_delta":
                seen.deltas += _has_output(said.delta)
            case "message_start" if said.message is not None and said.message.usage is not None:
                said.message.usage.into(seen)
                seen.output = None  # a placeholder, before anything was generated
            case "message_delta" if said.usage is not None:
                said.usage.into(seen)
            case "content_block_start" if len(self._open) < _MAX_OPEN:
                self._open.add(said.index or 0)
            case "content_block_stop":
                self._open.discard(said.index or 0)
            case "message_stop":
                seen.done = True
            case "error":
                seen.failed = True

    def ending(self, tokens: Tokens) -> bytes:
        """Close what is open, and stop as after `max_tokens`."""
        parts = [event({"type": "content_block_stop", "index": index}, "content_block_stop") for index in sorted(self._open)]
        stop = {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": {"output_tokens": tokens.output}}
        return b"".join((*parts, event(stop, "message_delta"), event({"type": "message_stop"}, "message_stop")))


def _has_output(delta: dict[str, msgspec.Raw] | None) -> bool:
    return any(name not in ("type", "signature") and bytes(value) not in EMPTY for name, value in (delta or {}).items())
