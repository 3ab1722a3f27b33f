"""SQL of security events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import insert

from controlplane.repository import Repository
from controlplane.schema import security_events
from controlplane.usage.rules import instant
from ias.security_event import RequestsRefused

_MOST = 2**53
_TEXT = 200


class SecurityEventRepository(Repository):
    """Rows of `security_events` within the reach; those that belong to no org are seen by who sees everything."""

    def entries(self) -> Select[Any]:
        """All visible rows."""
        return self.visible(security_events)

    async def add(self, events: Sequence[RequestsRefused]) -> int:
        """Insert those that are not there yet and return how many."""
        statement = insert(security_events).values([_row(event) for event in events]).on_conflict_do_nothing()
        return (await self.uow.execute(statement)).rowcount

    async def delete_before(self, moment: datetime) -> int:
        """Delete the events of minutes before a moment and return how many."""
        return (await self.uow.execute(self.delete(security_events).where(security_events.c.minute < moment))).rowcount


def _row(event: RequestsRefused) -> dict[str, Any]:
    return {
        "id": event.event_id,
        "minute": instant(event.minute_ms),
        "status": min(max(event.status, 0), 999),
        "code": event.code[:_TEXT],
        "org_id": event.org_id,
        "credential": event.credential and event.credential[:_TEXT],
        "address": event.address and event.address[:_TEXT],
        "overflow": event.overflow,
        "requests": min(max(event.requests, 0), _MOST),
    }
