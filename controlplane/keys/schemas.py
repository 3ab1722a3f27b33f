"""JSON of keys."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel, ShortText
from controlplane.limits.schemas import Limits, limits_of

ModelPattern = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,199}$")]


class NewKeyBody(ApiModel):
    """A key to make."""

    name: ShortText
    expires_at: AwareDatetime | None = None
    allowed_models: list[ModelPattern] = Field(default=[], max_length=100, description="Names or patterns with '*'; empty: all that the org may use.")
    rate_limiting: Limits = Field(default=Limits(), description="Limits of the key, beside those of the user, the org and the model.")

    @field_validator("expires_at")
    @classmethod
    def _in_the_future(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        try:
            moment = value.astimezone(UTC)
        except OverflowError:
            raise ValueError("must be before the year 10000 in UTC") from None
        if moment <= datetime.now(UTC):
            raise ValueError("must be in the future")
        return moment


class KeyView(ApiModel):
    """A key, without its secret."""

    id: UUID
    name: str
    org_id: UUID
    user_id: UUID
    status: str
    hint: str | None = Field(description="The beginning of the key, to tell keys apart.")
    expires_at: datetime | None
    allowed_models: list[str]
    rate_limiting: Limits
    publication_id: UUID | None
    last_used_at: datetime | None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        return {name: getattr(row, name) for name in cls.model_fields if name in row._fields} | {"rate_limiting": limits_of(row)}


class NewKeyView(KeyView):
    """A key that was made."""

    api_key: str = Field(description="The key itself, only here: it cannot be shown again.")
