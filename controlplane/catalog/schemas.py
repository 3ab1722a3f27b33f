"""JSON of the catalog."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel
from controlplane.backends.rules import Health, Verdict
from controlplane.backends.schemas import BackendFilter
from controlplane.catalog.rules import ChangeOfModel, Discovery, Status, canonical_id
from controlplane.limits.rules import MAX_TOKENS
from controlplane.moments import Moment
from controlplane.pagination import PageQuery

Word = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
"""Without a colon: an alias never looks like a canonical id."""
Size = Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True)]
Price = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6)]
_CAPABILITIES = Field(default=None, max_length=32, examples=[["chat", "tools"]], description="Null: what the backend tells.")
_MODALITIES = Field(default=None, max_length=32, examples=[["text", "image"]], description="Null: what the backend tells.")


class CatalogQuery(PageQuery):
    """The query parameters of the list."""

    backend: BackendFilter = None
    status: Status | None = None
    name: str | None = Field(
        default=None, min_length=1, max_length=256, pattern=r"^[^\x00]*$", description="A part of the engine's name of the model."
    )


class EditModelBody(ApiModel):
    """What a person says of a model; what is left out stays as it is. Discovery never overwrites it."""

    aliases: list[Alias] | None = Field(default=None, max_length=16, examples=[["llama-latest"]], description="Other names of it in the registry.")
    capabilities: list[Word] | None = _CAPABILITIES
    modalities: list[Word] | None = _MODALITIES
    context_tokens: Size | None = Field(default=None, description="Prompt and output together. Null: what the backend tells.")
    output_tokens: Size | None = Field(default=None, description="Of one answer. Null: what the backend tells.")


class NewPriceBody(ApiModel):
    """What a million tokens cost from a moment on."""

    valid_from: Moment | None = Field(default=None, description="By default now.")
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] = Field(examples=["EUR"], description="ISO 4217.")
    input: Price = Field(examples=["0.50"])
    cached_input: Price | None = Field(default=None, description="Null: as other input.")
    output: Price = Field(examples=["1.50"])


class PriceView(ApiModel):
    """What a million tokens cost from a moment on."""

    valid_from: datetime
    currency: str
    input: Decimal
    cached_input: Decimal | None
    output: Decimal


class PriceList(ApiModel):
    """All prices of a model, the latest first."""

    items: list[PriceView]


class CatalogModelView(ApiModel):
    """A model of a backend."""

    id: UUID
    backend: str
    upstream_model: str = Field(description="The engine's own name of it.")
    aliases: list[str]
    capabilities: list[str] = Field(examples=[["chat", "tools"]])
    modalities: list[str] = Field(examples=[["text", "image"]])
    context_tokens: int | None
    output_tokens: int | None
    edited: list[str] = Field(description="What of these a person has set.")
    metadata: dict[str, Any] = Field(description="What else the engine tells.")
    status: Status
    missed: int = Field(description="Discoveries in a row that left it out.")
    first_seen_at: datetime
    last_seen_at: datetime = Field(description="To the hour.")
    version: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def model(self) -> str:
        """Its canonical id."""
        return canonical_id(self.backend, self.upstream_model)

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        fields = {name: getattr(row, name) for name in cls.model_fields if name in row._fields}
        settable = ("contextTokens", "context_tokens"), ("outputTokens", "output_tokens"), ("capabilities",) * 2, ("modalities",) * 2
        edited = sorted(name for name, column in settable if getattr(row, f"set_{column}") is not None)
        return fields | {"metadata": row.facts, "edited": edited}


class HistoryView(ApiModel):
    """What changed about a model."""

    id: UUID
    kind: ChangeOfModel
    changes: dict[str, Any] = Field(description="Of each fact that changed: before and after.", examples=[{"contextTokens": [8192, 131072]}])
    user_id: UUID | None = Field(description="Null: discovery found it.")
    at: datetime


class DiscoveryView(ApiModel):
    """What a discovery has changed; nothing when the backend is not healthy."""

    health: Health
    health_reason: str | None
    models: int = Field(description="As many as the backend told of.")
    new: int
    updated: int
    returned: int
    missing: int = Field(description="Left out by the backend, and waited for.")
    deprecated: int


def discovery_view(verdict: Verdict, found: Discovery | None) -> DiscoveryView:
    """Count what a discovery has changed."""
    found = found or Discovery((), ())
    return DiscoveryView(
        health=verdict.health,
        health_reason=verdict.reason or None,
        models=len(verdict.told_in_health or ()),
        new=len(found.new),
        updated=found.count(ChangeOfModel.UPDATED),
        returned=found.count(ChangeOfModel.RETURNED),
        missing=found.missing,
        deprecated=found.count(ChangeOfModel.DEPRECATED),
    )
