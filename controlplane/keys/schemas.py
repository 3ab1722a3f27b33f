"""JSON of keys."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel, ShortText

ModelPattern = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,199}$")]
Limit = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]


class KeyRateLimiting(ApiModel):
    """Limits of one key, beside those of the model."""

    requests_per_minute: Limit | None = None
    burst_limit: Limit | None = Field(default=None, description="Requests that may come at once; needs requestsPerMinute.")

    @model_validator(mode="after")
    def _a_burst_of_something(self) -> Self:
        if self.burst_limit is not None and self.requests_per_minute is None:
            raise ValueError("burstLimit needs requestsPerMinute")
        return self


class NewKeyBody(ApiModel):
    """A key to make."""

    name: ShortText
    expires_at: AwareDatetime | None = None
    allowed_models: list[ModelPattern] = Field(default=[], max_length=100, description="Names or patterns with '*'; empty: all that the org may use.")
    rate_limiting: KeyRateLimiting = KeyRateLimiting()

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
    rate_limiting: KeyRateLimiting
    publication_id: UUID | None
    last_used_at: datetime | None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        limits = {"requests_per_minute": row.requests_per_minute, "burst_limit": row.burst_limit}
        return {name: getattr(row, name) for name in cls.model_fields if name in row._fields} | {"rate_limiting": limits}


class NewKeyView(KeyView):
    """A key that was made."""

    api_key: str = Field(description="The key itself, only here: it cannot be shown again.")
