"""Streams of chat completions and completions: chunks with choices, `[DONE]` at the end.

Usage comes in a chunk of its own before `[DONE]` (`include_usage`), or in every chunk (`continuous_usage_stats`, vLLM and SGLang), there
for the one choice of the chunk. What the client did not ask for is taken out so that the bytes left are the engine's own.
"""

import re
from typing import Annotated

import msgspec

from extproc.dialects.reading import EMPTY, NOTHING, UNREADABLE, Reading, Usage, event
from extproc.tokens import Tokens

_DONE = b"data: [DONE]\n\n"
_NULL = b"null"
_COLON = re.compile(rb"\s*:\s*")


_Index = Annotated[int, msgspec.Meta(ge=0, lt=1024)] | None
"""extauth lets through at most 128 choices of a request; the rest is room for lists of prompts."""


class _Choice(msgspec.Struct):
    index: _Index = 0
    delta: dict[str, msgspec.Raw] | None = None
    text: msgspec.Raw = NOTHING
    finish_reason: msgspec.Raw = NOTHING


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


_chunk = msgspec.json.Decoder(_Chunk)
_usage = msgspec.json.Decoder(Usage)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ChatReader:
    """Reads one stream. `drops_usage` and `cuts_running`: the usage chunk, and usage in every chunk, are there because we asked for them."""

    __slots__ = ("_chat", "_choices", "_cuts_running", "_drops_usage", "_finished", "_last", "_running", "seen")

    def __init__(self, *, chat: bool, choices: int, drops_usage: bool, cuts_running: bool) -> None:
        self._chat = chat
        self._choices = choices
        self._drops_usage, self._cuts_running = drops_usage, cuts_running
        self._running: dict[int, int] = {}
        self._finished: set[int] = set()
        self._last = b""
        self.seen = Reading()

    def on_data(self, data: bytes) -> bytes | None:
        seen = self.seen
        if data == b"[DONE]":
            seen.done = True
            return None
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE:
            seen.deltas += 1
            return None
        if bytes(chunk.error) not in EMPTY:
            seen.failed = True
        choices = chunk.choices
        if choices:
            self._last = data
            for choice in choices:
                if _has_output(choice):
                    seen.deltas += 1
                    seen.done = False  # usage that came early was not the end
                if (choice.index or 0) >= self._choices:
                    self._choices = (choice.index or 0) + 1
                if bytes(choice.finish_reason) not in EMPTY:
                    self._finished.add(choice.index or 0)
        raw = bytes(chunk.usage)
        return self._on_usage(data, choices, raw) if raw and raw != _NULL else None

    def ending(self, tokens: Tokens) -> bytes:
        """One last chunk for each choice still open, the usage if it was asked for, and `[DONE]`."""
        try:
            head = {name: raw for name, raw in _members.decode(self._last).items() if name not in ("choices", "usage")}
        except UNREADABLE:
            head = {}
        empty: dict[str, object] = {"delta": {}} if self._chat else {"text": ""}
        parts = [
            event({**head, "choices": [{"index": index, **empty, "logprobs": None, "finish_reason": "length"}]})
            for index in range(self._choices)
            if index not in self._finished
        ]
        if not self._drops_usage:
            usage = {"prompt_tokens": tokens.input, "total_tokens": tokens.total, "completion_tokens": tokens.output}
            parts.append(event({**head, "choices": [], "usage": usage}))
        return b"".join((*parts, _DONE))

    def _on_usage(self, data: bytes, choices: list[_Choice] | None, raw: bytes) -> bytes | None:
        try:
            usage = _usage.decode(raw)
        except UNREADABLE:
            return None
        usage.into(self.seen)
        if choices == []:
            self.seen.done = True
            return b"" if self._drops_usage else None
        if choices is not None and len(choices) == 1 and usage.completion_tokens is not None:
            self._running[choices[0].index or 0] = usage.completion_tokens
            self.seen.output = sum(self._running.values())
        return without_member(data, "usage", raw) if self._cuts_running else None


def _has_output(choice: _Choice) -> bool:
    if choice.delta:
        for name, value in choice.delta.items():  # a loop, not any(): this runs for every chunk of every stream
            if name != "role" and bytes(value) not in EMPTY:
                return True
    return bytes(choice.text) not in EMPTY


def without_member(data: bytes, name: str, value: bytes) -> bytes | None:
    """Take the member `name` with the text `value` out of an object; None if it is not found. Every other byte stays.

    Inside strings quotes are escaped, so `"name"` with both of its quotes and a colon behind can only be a member's name.
    """
    quoted = b'"%b"' % name.encode()
    start = len(data)
    while (start := data.rfind(quoted, 0, start)) >= 0:  # engines write it last
        colon = _COLON.match(data, start + len(quoted))
        if colon is not None and data.startswith(value, colon.end()):
            before, behind = data[:start].rstrip(), data[colon.end() + len(value) :]
            return before[:-1] + behind if before.endswith(b",") else before + behind.lstrip().removeprefix(b",").lstrip()
    return None
