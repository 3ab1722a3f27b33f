"""JSON of the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from controlplane.api_model import ApiModel
from controlplane.audit.rules import Outcome, Sought
from controlplane.moments import Moment
from controlplane.pagination import PageQuery

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


class AuditFilter(ApiModel):
    """Which rows; what is left out does not narrow."""

    actor: str | None = Field(default=None, max_length=200, pattern=_PRINTABLE, description="id or username of who acted")
    action: str | None = Field(default=None, max_length=100, pattern=r"^[A-Za-z_.:]+\*?$", description="one action, or several: `key.*`")
    outcome: Outcome | None = None
    target: str | None = Field(default=None, max_length=200, pattern=_PRINTABLE, description="id or name of an object that the write concerns")
    from_: Moment | None = Field(default=None, alias="from", description="inclusive")
    to: Moment | None = Field(default=None, description="exclusive")

    def sought(self) -> Sought:
        """The same for the rules."""
        return Sought(self.actor, self.action, self.outcome, self.target, self.from_, self.to)


class AuditQuery(AuditFilter, PageQuery):
    """Which rows, and which page of them."""


class AuditView(ApiModel):
    """One write."""

    id: UUID
    timestamp: datetime
    org_id: UUID | None
    user_id_performing_action: UUID | None
    actor: str | None
    """The username of who acted."""
    action_type: str
    targets: list[str]
    """What it concerns: ids and names of objects."""
    payload: dict[str, Any]
    outcome: Outcome
    request_id: str | None
    client_address: str | None


class ActionView(ApiModel):
    """One word of the vocabulary: what `actionType` may be."""

    action: str
    summary: str


class ActionList(ApiModel):
    """The whole vocabulary, in order."""

    items: list[ActionView]
