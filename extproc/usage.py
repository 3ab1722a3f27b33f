"""Reads token usage out of an engine's answer: chat completions, completions and embeddings, streamed or whole.

The engine's own `usage` object is the truth; the latest one wins (vLLM repeats it in every chunk with
`continuous_usage_stats`). Without any, the chunks that carried output are counted: engines send one for each token or
for a few, so the count is a lower bound and never zero when something was produced. What cannot be read never fails.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from ias.usage_event import UsageSource

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] | None
"""A number of tokens; `null` in embeddings. The upper limit keeps an engine's nonsense out of the ledger."""

TAIL_BYTES = 64 * 1024
"""How much of the end of an oversized JSON answer is kept to find its usage object in."""

_EMPTY = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_NOTHING = msgspec.Raw(b"")


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = 0


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = 0


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    text: msgspec.Raw = _NOTHING


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _NOTHING


class _Whole(msgspec.Struct):
    usage: _Usage | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_whole = msgspec.json.Decoder(_Whole)
_UNREADABLE = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request used. `cached_input` and `reasoning` are parts of `input` and `output`, not addends."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    source: UsageSource = UsageSource.ESTIMATED


class StreamMeter:
    """Follows the `data` of a stream's events."""

    __slots__ = ("_deltas", "_usage", "done", "failed")

    def __init__(self) -> None:
        self._usage: _Usage | None = None
        self._deltas = 0
        self.done = False
        """The engine said that it has finished: `[DONE]`, or the chunk with nothing but the usage."""
        self.failed = False
        """The engine reported an error inside the stream."""

    @property
    def has_output(self) -> bool:
        """Whether any output has passed."""
        return self._deltas > 0

    @property
    def tokens(self) -> Tokens:
        """The usage as far as it is known."""
        if self._usage is not None:
            return _reported(self._usage)
        return Tokens(output=self._deltas, source=UsageSource.COUNTED) if self._deltas else Tokens()

    def on_data(self, data: bytes) -> bool:
        """Take one event's data; tell whether it is the chunk that `include_usage` adds: no choices, only usage."""
        if data == b"[DONE]":
            self.done = True
            return False
        try:
            chunk = _chunk.decode(data)
        except _UNREADABLE:
            self._deltas += 1
            return False
        if chunk.usage is not None:
            self._usage = chunk.usage
        if bytes(chunk.error) not in _EMPTY:
            self.failed = True
        if chunk.choices:
            for choice in chunk.choices:
                self._deltas += _has_output(choice)
            return False
        usage_only = chunk.choices is not None and chunk.usage is not None
        self.done |= usage_only
        return usage_only

    def on_unread(self) -> None:
        """An event passed that was too large to be read: count it, so that output is never taken for none."""
        self._deltas += 1


def read_whole(body: bytes) -> Tokens | None:
    """Read a complete JSON answer; None if it is not JSON (or not all of it)."""
    try:
        usage = _whole.decode(body).usage
    except msgspec.ValidationError:
        return Tokens()
    except _UNREADABLE:
        return None
    return _reported(usage) if usage is not None else Tokens()


def read_tail(tail: bytes) -> Tokens:
    """Read the usage object from the last `TAIL_BYTES` of an answer that was too large to keep.

    `"usage"` with both quotes can only be a member's name: inside a string the quotes are escaped.
    """
    position = tail.rfind(b'"usage"')
    _, colon, rest = tail[position:].partition(b":")
    if position < 0 or not colon:
        return Tokens()
    try:
        value: Any = json.JSONDecoder().raw_decode(rest.decode(errors="replace").lstrip())[0]
        return _reported(msgspec.convert(value, _Usage))
    except _UNREADABLE:
        return Tokens()


def _has_output(choice: _Choice) -> bool:
    if choice.delta:
        for name, value in choice.delta.items():  # a loop, not any(): this runs for every chunk of every stream
            if name != "role" and bytes(value) not in _EMPTY:
                return True
    return bytes(choice.text) not in _EMPTY


def _reported(usage: _Usage) -> Tokens:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Tokens(
        input=usage.prompt_tokens or 0,
        cached_input=(prompt.cached_tokens or 0) if prompt else 0,
        output=usage.completion_tokens or 0,
        reasoning=(completion.reasoning_tokens or 0) if completion else 0,
        source=UsageSource.REPORTED,
    )
