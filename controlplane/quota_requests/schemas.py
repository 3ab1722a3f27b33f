"""JSON of requests for more."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from sqlalchemy import Row

from controlplane.api_model import BLANK, ApiModel
from controlplane.limits.rules import MAX_TOKENS
from controlplane.limits.subject import Scope
from controlplane.moments import FutureMoment
from controlplane.pagination import PageQuery
from controlplane.quota_requests.rules import Kind, State, state_at
from ratelimit.ports import Period

LimitName = Literal["requestsPerMinute", "requestsPerHour", "tokensPerMinute", "tokensPerHour", "burstLimit", "concurrentRequests"]
Amount = Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True)]


_LINES = rf"^[^\x00-\x08\x0b-\x1f\x7f]*[^{BLANK}][^\x00-\x08\x0b-\x1f\x7f]*$"
Explanation = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=_LINES), Field(examples=["We launch next week."])
]
"""Some sentences of a person."""


class NewQuotaRequestBody(ApiModel):
    """What is asked for, and why."""

    scope: Scope = Field(examples=["user"], description="For your org, for yourself, or for one of your keys.")
    key_id: UUID | None = Field(default=None, description="Of scope 'key': which.")
    kind: Kind = Field(description="'budget' and 'limit': what it shall be. 'increase': what to put on top of a budget for a while.")
    period: Period | None = Field(default=None, examples=["month"], description="Of which budget.")
    limit: LimitName | None = Field(default=None, description="Of kind 'limit': which.")
    amount: Amount = Field(examples=[5_000_000], description="Tokens, or requests.")
    until: FutureMoment | None = Field(default=None, description="End of an increase.")
    reason: Explanation

    @property
    def name(self) -> str:
        """Period or limit."""
        return str(self.limit if self.kind is Kind.LIMIT else self.period)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        rights = {
            "keyId": (self.key_id, self.scope is Scope.KEY, "scope 'key'"),
            "limit": (self.limit, self.kind is Kind.LIMIT, "kind 'limit'"),
            "period": (self.period, self.kind is not Kind.LIMIT, "a budget or an increase"),
            "until": (self.until, self.kind is Kind.INCREASE, "kind 'increase'"),
        }
        for name, (value, belongs, where) in rights.items():
            if belongs != (value is not None):
                raise ValueError(f"{name} is needed for {where}, and for nothing else")
        return self


class ApprovalBody(ApiModel):
    """What is granted; what is left out is as it was asked for."""

    amount: Amount | None = None
    until: FutureMoment | None = Field(default=None, description="Of an increase.")
    answer: Explanation | None = None


class RejectionBody(ApiModel):
    """Why not."""

    reason: Explanation


class QuotaRequestQuery(PageQuery):
    """The query parameters of a list."""

    state: State | None = None


class QuotaRequestView(ApiModel):
    """A request for more."""

    id: UUID
    org_id: UUID
    user_id: UUID
    username: str = Field(description="Who asks.")
    scope: Scope
    subject_id: UUID = Field(description="Org, user or key that shall have more.")
    kind: Kind
    period: Period | None
    limit: LimitName | None
    amount: int
    until: datetime | None
    reason: str
    state: State
    expires_at: datetime = Field(description="When it expires if nobody decides.")
    decided_by: UUID | None
    decided_at: datetime | None
    granted_amount: int | None
    granted_until: datetime | None
    answer: str | None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        fields = {name: getattr(row, name) for name in cls.model_fields if name in row._fields}
        is_limit = row.kind == Kind.LIMIT
        named = {"limit": row.name if is_limit else None, "period": None if is_limit else row.name}
        return fields | named | {"state": state_at(State(row.state), row.expires_at, datetime.now(UTC))}
