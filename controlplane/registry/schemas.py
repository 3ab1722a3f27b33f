"""JSON of the registry."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from controlplane.api_model import ApiModel
from controlplane.backends.rules import Health
from controlplane.backends.schemas import BackendFilter
from controlplane.catalog.schemas import PriceView
from controlplane.pagination import PageQuery

_Word = Annotated[str, StringConstraints(to_lower=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class ModelQuery(PageQuery):
    """The query parameters of the list."""

    capability: _Word | None = None
    modality: _Word | None = None
    provider: BackendFilter = None


class ProviderView(ApiModel):
    """Where a model runs."""

    name: str
    kind: str = Field(examples=["openai"])
    url_kind: str = Field(examples=["http"])
    health: Health
    health_reason: str | None
    checked_at: datetime | None


class TenantModelView(ApiModel):
    """A model that an org may use."""

    id: UUID
    model: str = Field(description="Its id in the catalog.")
    upstream_model: str
    aliases: list[str]
    capabilities: list[str] = Field(examples=[["chat", "tools"]])
    modalities: list[str] = Field(examples=[["text", "image"]])
    context_tokens: int | None
    output_tokens: int | None
    price: PriceView | None = Field(description="That is in force.")
    provider: ProviderView
