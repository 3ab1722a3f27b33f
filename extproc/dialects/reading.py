"""What can be read of an answer's usage while it passes, in one form for all endpoints."""

from dataclasses import dataclass, field
from typing import Annotated, Protocol

import msgspec

from extproc.tokens import Tokens

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] | None
"""A number of tokens; `null` in embeddings. The upper limit keeps an engine's nonsense out of the ledger."""

UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes that are not what was expected."""

NOTHING = msgspec.Raw(b"")
EMPTY = frozenset({b"", b"null", b'""', b"[]", b"{}"})
"""JSON texts of a member that says nothing."""


@dataclass(slots=True)
class Reading:
    """The state of one answer. None: the engine has not said."""

    input: int | None = None
    cached_input: int = 0
    output: int | None = None
    """Also in the middle of a stream, of engines that report as they go."""
    reasoning: int = 0
    deltas: int = 0
    """Pieces of output that passed; engines send one for each token, or for a few."""
    told: int = field(default=0, compare=False)
    """Those that the engine's last report of its output has counted."""
    done: bool = False
    """The engine said that it has finished."""
    failed: bool = False
    """The engine reported an error inside the answer."""

    @property
    def untold(self) -> int:
        """Pieces of output since the engine last reported any; none of an engine that has reported and finished."""
        return 0 if self.done and self.output is not None else self.deltas - self.told


class StreamReader(Protocol):
    """Reads the events of one stream. What cannot be read never fails: it counts as output."""

    seen: Reading

    def on_data(self, data: bytes) -> bytes | None:
        """Take one event's data; return what to send in its place, nothing (empty) to take the event out, None to let it pass."""

    def ending(self, tokens: Tokens) -> bytes:
        """Events that end the answer here for reaching its limit, as the engine would have ended it after these tokens."""


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None


class Usage(msgspec.Struct, gc=False):
    """The usage object of any endpoint: OpenAI's older names, those of responses, Anthropic's."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None

    def into(self, seen: Reading) -> None:
        """Write what it says into a reading; what it does not say stays."""
        if self.prompt_tokens is not None:
            seen.input = self.prompt_tokens
        elif self.input_tokens is not None:
            # Anthropic counts what came from its cache, or went there, beside `input_tokens`; OpenAI inside.
            seen.input = self.input_tokens + (self.cache_read_input_tokens or 0) + (self.cache_creation_input_tokens or 0)
        if (tokens := self.completion_tokens if self.completion_tokens is not None else self.output_tokens) is not None:
            seen.output = tokens
            seen.told = seen.deltas if tokens else 0  # 0 in the middle of a stream is a place left empty
        into_prompt = self.prompt_tokens_details or self.input_tokens_details
        if (cached := into_prompt.cached_tokens if into_prompt else self.cache_read_input_tokens) is not None:
            seen.cached_input = cached
        details = self.completion_tokens_details or self.output_tokens_details
        if details is not None and details.reasoning_tokens is not None:
            seen.reasoning = details.reasoning_tokens


def event(data: object, name: str = "") -> bytes:
    """Spell one server-sent event with JSON data, as engines do."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"
