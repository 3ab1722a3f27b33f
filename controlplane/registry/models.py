"""What the registry knows, as its reader brings it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from controlplane.approvals.rules import Rule, State


@dataclass(frozen=True, slots=True)
class Provider:
    """A backend that lives."""

    id: UUID
    name: str
    kind: str
    url_kind: str
    health: str
    health_reason: str


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost from a moment on, as decimal texts."""

    valid_from: datetime
    currency: str
    input: str
    cached_input: str
    output: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalog."""

    id: UUID
    backend_id: UUID
    upstream_model: str
    aliases: tuple[str, ...]
    capabilities: tuple[str, ...]
    modalities: tuple[str, ...]
    context_tokens: int | None
    output_tokens: int | None
    is_active: bool
    first_seen_at: datetime
    prices: tuple[Price, ...]
    """In order of their beginning."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """What an org has decided, and its rules."""

    rules: tuple[Rule, ...] = ()
    decided: tuple[tuple[UUID, State], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; empty: nothing."""

    capability: str = ""
    provider: str = ""
    modality: str = ""
