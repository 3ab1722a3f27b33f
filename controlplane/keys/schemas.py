"""JSON of keys."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel, ShortText
from controlplane.keys.rules import DEFAULT_OVERLAP, MAX_OVERLAP, status_at
from controlplane.limits.schemas import Limits, limits_of
from controlplane.moments import FutureMoment, Moment
from controlplane.pagination import PageQuery
from ias import tags

ModelPattern = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,199}$")]
LabelName = Annotated[str, StringConstraints(pattern=f"^{tags.NAME}$")]
LabelValue = Annotated[str, StringConstraints(pattern=f"^{tags.VALUE}$")]


class KeyBody(ApiModel):
    """What of a key can be changed; its limits and budgets have resources of their own."""

    name: ShortText
    expires_at: Moment | None = Field(default=None, description="Null: never.")
    allowed_models: list[ModelPattern] = Field(default=[], max_length=100, description="Names or patterns with '*'; empty: all that the org may use.")
    labels: dict[LabelName, LabelValue] = Field(
        default={},
        max_length=tags.MAX_PAIRS,
        json_schema_extra={"additionalProperties": False},
        description="They are tags of every request with this key, before those that the request brings.",
    )


class NewKeyBody(KeyBody):
    """A key to make."""

    expires_at: FutureMoment | None = Field(default=None, description="Null: never.")
    rate_limiting: Limits = Field(default=Limits(), description="Limits of the key, beside those of the user, the org and the model.")
    user_id: UUID | None = Field(default=None, description="A service account of your org, to make the key for it (org admin); yourself by default.")


class RotateBody(ApiModel):
    """How a key gets a new secret."""

    overlap_seconds: int = Field(
        default=int(DEFAULT_OVERLAP.total_seconds()),
        ge=0,
        le=int(MAX_OVERLAP.total_seconds()),
        strict=True,
        description="How long the secret before stays valid; 0: it is refused everywhere within a second.",
    )


class CredentialView(ApiModel):
    """One secret of a key, without the secret."""

    hint: str
    created_at: datetime
    valid_until: datetime | None = Field(description="Null: as long as the key.")


class KeyView(ApiModel):
    """A key, without its secret."""

    id: UUID
    name: str
    org_id: UUID
    user_id: UUID
    username: str = Field(description="Whose key it is.")
    status: Literal["active", "expired", "disabled", "revoked"]
    hint: str | None = Field(description="The beginning of the newest secret, to tell keys apart.")
    expires_at: datetime | None
    allowed_models: list[str]
    labels: dict[str, str]
    rate_limiting: Limits
    credentials: list[CredentialView] = Field(description="The secrets that are valid, the newest first: more than one while a rotation overlaps.")
    publication_id: UUID | None
    last_used_at: datetime | None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        fields = {name: getattr(row, name) for name in cls.model_fields if name in row._fields}
        return fields | {"rate_limiting": limits_of(row), "status": status_at(row.status, row.expires_at, datetime.now(UTC))}


class NewKeyView(KeyView):
    """A key that was made or rotated."""

    api_key: str = Field(description="The key itself, only here: it cannot be shown again.")


class KeyFilter(ApiModel):
    """Which keys are meant: those to which all of it applies."""

    name: ShortText | None = Field(default=None, description="Part of the name, in any case.")
    hint: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_]{1,21}…?$")] | None = Field(
        default=None, description="Beginning of the key as lists show it, or of its 8 characters behind the last underscore."
    )
    user: ShortText | None = Field(default=None, description="User name or id of the owner.")
    label: list[Annotated[str, StringConstraints(pattern=f"^{tags.NAME}(={tags.VALUE})?$")]] = Field(
        default=[], max_length=tags.MAX_PAIRS, description="`name` or `name=value`.", examples=[["team=search"]]
    )
    status: Literal["active", "expired", "disabled", "revoked"] | None = None
    model: ShortText | None = Field(default=None, description="A model that the key's list names or leaves open.")
    last_used_before: Moment | None = Field(default=None, description="Also keys that were never used, if they were made before then.")
    created_before: Moment | None = None
    expires_before: Moment | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether it means every key."""
        return all(getattr(self, name) in (None, []) for name in KeyFilter.model_fields)


class KeyQuery(PageQuery, KeyFilter):
    """The query parameters of a list of keys."""


class BulkRevokeBody(ApiModel):
    """Keys to revoke: first as a dry run, then with what that answered."""

    filter: KeyFilter = Field(examples=[{"status": "active", "lastUsedBefore": "2026-01-01T00:00:00Z"}])
    dry_run: bool = Field(default=True, strict=True)
    confirm: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] | None = Field(
        default=None, description="`confirm` of the dry run: no other keys than those are revoked."
    )

    @field_validator("filter")
    @classmethod
    def _means_some(cls, value: KeyFilter) -> KeyFilter:
        if value.says_nothing:
            raise ValueError("must say which keys: status 'active' means all that work")
        return value

    @model_validator(mode="after")
    def _seen_before(self) -> Self:
        if not self.dry_run and self.confirm is None:
            raise ValueError("confirm is needed: make a dry run with the same filter first")
        return self


class BulkRevokeView(ApiModel):
    """What would be revoked, or was."""

    dry_run: bool
    keys: list[KeyView] = Field(description="The oldest first.")
    count: int = Field(description="How many that are.")
    remaining: int = Field(description="Others to which the filter applies: above the limit of one call. Call again for them.")
    confirm: str


class ValidateBody(ApiModel):
    """A key to check."""

    api_key: SecretStr = Field(max_length=256)


class ValidKeyView(ApiModel):
    """What a key may know of itself."""

    id: UUID
    name: str
    hint: str
    expires_at: datetime | None
    valid_until: datetime | None = Field(description="When this secret ends sooner than the key, because the key was rotated.")
    models: list[str] = Field(description="What it may use now.")


class ValidationView(ApiModel):
    """Whether the gateway would take a key now."""

    valid: bool
    key: ValidKeyView | None = None
