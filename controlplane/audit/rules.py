"""What the audit log keeps of a write: who, what, from where, and the request without its secrets. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

_SECRET_WORDS = ("password", "apikey", "token", "secret", "credential", "authorization", "pepper", "link")
_NOT_SECRET = frozenset(
    {
        *("tokens", "tokensperhour", "tokensperminute", "extratokens", "ceilingtokens", "outagetokens", "contexttokens", "maxtokens"),
        "requireapikey",
    }
)
"""Amounts of tokens, and a switch."""
_MASK = "***"
_MAX_STRING = 1000
_MAX_ITEMS = 100
_MAX_DEPTH = 8
_MAX_TARGET = 200


class Outcome(StrEnum):
    """How a write ended."""

    OK = "ok"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(slots=True)
class Attempt:
    """One write. It is filled in on its way: by the edge, by authentication, by the service; it ends as one row."""

    action: str
    """`object:verb` in the form `key.create`: the name of the route."""
    request_id: str | None = None
    client_address: str | None = None
    user_id: UUID | None = None
    org_id: UUID | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    """The objects that the path names."""
    reached_authentication: bool = False
    recorded: bool = False
    """A row is committed."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Which rows somebody wants to see; None: all."""

    actor: str | None = None
    """Id or name of a user."""
    action: str | None = None
    """One action, or several that begin alike: `key.*`."""
    outcome: Outcome | None = None
    target: str | None = None
    """Id or name of an object, as the path or the service named it."""
    since: datetime | None = None
    until: datetime | None = None


def targets_of(attempt: Attempt) -> list[str]:
    """What the write concerns: what its path names, and the facts that the service called `…_id` or `…_ids`."""
    found = list(attempt.named)
    for name, value in attempt.payload.items():
        if name.endswith("_id"):
            found.append(str(value))
        elif name.endswith("_ids") and isinstance(value, list | tuple):
            found += map(str, value)
    return sorted({_text(target)[:_MAX_TARGET] for target in found})[:_MAX_ITEMS]


def outcome_of(status: int) -> Outcome:
    """Outcome of a request that ended with an error status."""
    return Outcome.DENIED if status in {401, 403} else Outcome.FAILED


def redact(value: object, depth: int = 0) -> Any:
    """Return a copy that jsonb can hold, without the values of secret fields at any depth and with a bounded size."""
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_MAX_ITEMS]
        return {_text(str(name)): _MASK if is_secret(str(name)) else redact(item, depth + 1) for name, item in pairs}
    if isinstance(value, list | tuple):
        return [redact(item, depth + 1) for item in value[:_MAX_ITEMS]]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(str(value))


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain not in _NOT_SECRET and any(word in plain for word in _SECRET_WORDS)


def _text(text: str) -> str:
    """Cut, and without what PostgreSQL's jsonb refuses: NUL and halves of surrogate pairs."""
    return text[:_MAX_STRING].replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
