"""JSON of explanations."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from controlplane.api_model import ApiModel
from ias.endpoints import Endpoint
from ias.usage_event import Outcome, UsageSource

RequestId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class StepView(ApiModel):
    """One thing that happened, in plain words."""

    at: datetime
    text: str


class _Explained(ApiModel):
    request_id: str
    org_id: UUID
    org: str | None
    user_id: UUID
    username: str | None
    key_id: UUID
    key_name: str | None
    steps: list[StepView]
    """What happened, in order."""


class AdmittedRequest(_Explained):
    """A request that passed: its row in the ledger."""

    decision: Literal["admitted"] = "admitted"
    event_id: UUID
    """The reservation id."""
    admitted_at: datetime
    ended_at: datetime
    recorded_at: datetime
    publication_id: UUID
    model: str
    upstream_model: str
    backend: str | None
    """That of the publication, as it is today."""
    endpoint: Endpoint
    stream: bool
    outcome: Outcome
    http_status: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usage_source: UsageSource
    held_tokens: int
    charged_tokens: int
    """What limits and budgets were charged at the end."""
    time_to_first_token_ms: int | None
    duration_ms: int
    tags: dict[str, str]


class LimitView(ApiModel):
    """A limit as it stood."""

    name: str
    unit: str
    capacity: int
    remaining: int
    retry_ms: int
    """0: it let the request pass; -1: it never will."""
    dry_run: bool


class RefusedRequest(_Explained):
    """A request that was refused, and is among the samples."""

    decision: Literal["refused"] = "refused"
    at: datetime
    method: str
    path: str
    model: str | None
    status: int
    code: str
    message: str
    """What the client was told."""
    limits: list[LimitView]
    """As they stood, when it came that far."""
    credential: str | None
    address: str | None
    alike: int
    """Refused in the same minute for the same reason, with the same key, from the same network."""


class RequestList(ApiModel):
    """Everything of one id: one, unless a client chose the id more than once or tried again with it."""

    items: list[Annotated[AdmittedRequest | RefusedRequest, Field(discriminator="decision")]]


def fields_of(row: Any) -> dict[str, Any]:
    """Return the columns of a row by name."""
    return dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
