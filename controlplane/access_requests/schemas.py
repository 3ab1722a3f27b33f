"""JSON of requests for access."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy import Row

from controlplane.api_model import ApiModel
from controlplane.approvals.schemas import ModelName
from controlplane.catalog.rules import canonical_id
from controlplane.pagination import PageQuery
from controlplane.quota_requests.rules import State, state_at
from controlplane.quota_requests.schemas import Explanation


class NewAccessRequestBody(ApiModel):
    """Which model is asked for, and why."""

    model: ModelName = Field(examples=["gpu-pool::served-model"], description="Its id in the catalog, or an alias.")
    reason: Explanation


class AnswerBody(ApiModel):
    """What the admin says to it."""

    answer: Explanation | None = None


class RefusalBody(ApiModel):
    """Why not."""

    reason: Explanation


class AccessRequestQuery(PageQuery):
    """The query parameters of a list."""

    state: State | None = None


class AccessRequestView(ApiModel):
    """A request for access to a model."""

    id: UUID
    org_id: UUID
    user_id: UUID
    username: str = Field(description="Who asks.")
    model: str
    reason: str
    state: State
    expires_at: datetime = Field(description="When it expires if nobody decides.")
    decided_by: UUID | None
    decided_at: datetime | None
    answer: str | None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        if not isinstance(row, Row):
            return row
        fields = {name: getattr(row, name) for name in cls.model_fields if name in row._fields}
        state = state_at(State(row.state), row.expires_at, datetime.now(UTC))
        return fields | {"model": canonical_id(row.backend, row.upstream_model), "state": state}
