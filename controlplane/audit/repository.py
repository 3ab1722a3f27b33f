"""SQL of the audit log."""

import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Insert, Select, insert

from controlplane.audit.rules import Attempt, Outcome, redact
from controlplane.repository import Repository
from controlplane.schema import audit_log
from ias.ids import uuid7


def row_of(attempt: Attempt, outcome: Outcome) -> Insert:
    """The statement that records how an attempt ended. The order of ids is the order of time."""
    now_ms = time.time_ns() // 1_000_000
    return insert(audit_log).values(
        id=uuid7(now_ms),
        timestamp=datetime.fromtimestamp(now_ms / 1000, UTC),
        org_id=attempt.org_id,
        user_id_performing_action=attempt.user_id,
        action_type=attempt.action,
        payload=redact(attempt.payload),
        outcome=outcome,
        request_id=attempt.request_id,
        client_address=attempt.client_address,
    )


class AuditRepository(Repository):
    """Reading within a reach."""

    def entries(self) -> Select[Any]:
        """All visible rows."""
        return self.visible(audit_log)
