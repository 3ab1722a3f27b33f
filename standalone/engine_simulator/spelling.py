"""What every endpoint's request comes down to, and the port behind which each endpoint spells its answers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from standalone.engine_simulator.behaviour import Behaviour
from standalone.engine_simulator.tokens import FinishReason, Piece

Json = dict[str, Any]


class BadRequest(Exception):
    """The engine would refuse the request with 400; the message is its reason."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A generation to be made."""

    model: str
    prompt_tokens: int
    choices: int
    cap: int | None
    """Most tokens of each choice; None: as many as come naturally."""
    stream: bool
    seed: str


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens so far: of all choices, or of one where an engine reports it so."""

    prompt: int
    cached: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    data: Json
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """All of one choice."""

    thought: str
    text: str
    finish: FinishReason


class Spelling(Protocol):
    """One endpoint's way to say one answer."""

    @property
    def asked(self) -> Asked:
        """The request."""

    @property
    def done(self) -> bytes:
        """What ends a stream."""

    def opening(self, used: Used) -> Iterable[Event]:
        """The events before the first token."""

    def piece(self, index: int, piece: Piece, used: Used) -> Iterable[Event]:
        """The events of some tokens of one choice; `used` is of that choice."""

    def closing(self, used: Used) -> Iterable[Event]:
        """The events after the last token."""

    def whole(self, choices: list[Choice], used: Used) -> Json:
        """The answer that is not streamed."""

    def failed(self) -> Event:
        """The event of an engine that fails inside a stream."""


def used_by_choice(prompt_tokens: int, generated: int, how: Behaviour) -> Used:
    """Count one choice that has `generated` tokens so far."""
    return Used(prompt_tokens, min(how.cached, prompt_tokens), generated, min(how.reasoning, generated))


def used_by_all(prompt_tokens: int, each: int, choices: int, how: Behaviour) -> Used:
    """Count `choices` choices of `each` tokens."""
    return Used(prompt_tokens, min(how.cached, prompt_tokens), choices * each, choices * min(how.reasoning, each))


def cap(body: Json, *names: str, default: int | None = None) -> int | None:
    """Read the first cap of output tokens that is there; raise BadRequest."""
    name, value = next(((name, body[name]) for name in names if body.get(name) is not None), (names[-1], default))
    if value is not None and not is_count(value):
        raise BadRequest(f"{name} must be at least 1, got {value}.")
    return value


def is_count(value: object) -> bool:
    """Tell whether a value of a request is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
