"""JSON of the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from controlplane.api_model import ApiModel


class AuditView(ApiModel):
    """One write."""

    id: UUID
    timestamp: datetime
    org_id: UUID | None
    user_id_performing_action: UUID | None
    action_type: str
    payload: dict[str, Any]
    outcome: str
    request_id: str | None
    client_address: str | None
