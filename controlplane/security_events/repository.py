"""SQL of security events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func
from sqlalchemy.dialects.postgresql import insert

from controlplane.ids import first_id
from controlplane.repository import Repository
from controlplane.schema import refused_requests, security_events
from controlplane.security_events.rules import EVERY, Grouping, Sought
from controlplane.usage.rules import instant
from ias.security_event import MOST_SAMPLES, RefusedRequest, RequestsRefused

_MOST = 2**53
_TEXT = 200
_MESSAGE = 500
_LIMITS = 30


class SecurityEventRepository(Repository):
    """Rows of `security_events` within the reach; those that belong to no org are seen by who sees everything."""

    def entries(self, sought: Sought = EVERY) -> Select[Any]:
        """All visible rows that are sought."""
        return self.visible(security_events).where(*_conditions(sought))

    async def counts(self, sought: Sought, by: Grouping, most: int) -> tuple[int, list[dict[str, Any]]]:
        """Return how many requests were refused, and the `most` groups with the most of them."""
        common = [security_events.c[name] for name in by.columns]
        requests = func.sum(security_events.c.requests).label("requests")
        minute = security_events.c.minute
        query = self.visible(
            security_events, *common, requests, func.count().label("events"), func.min(minute).label("first"), func.max(minute).label("last")
        )
        query = query.where(*_conditions(sought)).group_by(*common).order_by(requests.desc(), *common)
        total = self.visible(security_events, func.coalesce(func.sum(security_events.c.requests), 0)).where(*_conditions(sought))
        groups = [dict(row) for row in (await self.uow.execute(query.limit(most))).mappings()]
        return int((await self.uow.execute(total)).scalar_one()), groups

    async def add(self, events: Sequence[RequestsRefused]) -> int:
        """Insert those that are not there yet and return how many."""
        statement = insert(security_events).values([_row(event) for event in events]).on_conflict_do_nothing()
        added = (await self.uow.execute(statement)).rowcount
        samples = [_sample(event, place, one) for event in events if event.org_id for place, one in enumerate(event.samples[:MOST_SAMPLES])]
        if samples:
            await self.uow.execute(insert(refused_requests).values(samples).on_conflict_do_nothing())
        return added

    async def delete_before(self, moment: datetime) -> int:
        """Delete the events of minutes before a moment and return how many."""
        return (await self.uow.execute(self.delete(security_events).where(security_events.c.minute < moment))).rowcount


def _conditions(sought: Sought) -> list[ColumnElement[bool]]:
    column = security_events.c
    given = {column.status: sought.status, column.code: sought.code, column.credential: sought.credential, column.address: sought.address}
    found = [field == value for field, value in given.items() if value is not None]
    if sought.since is not None:
        # An event is written after its minute: by its id the index of an org leads to where the period begins.
        found += [column.minute >= sought.since, column.id >= first_id(sought.since)]
    if sought.until is not None:
        found.append(column.minute < sought.until)
    return found


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


def _sample(event: RequestsRefused, place: int, sample: RefusedRequest) -> dict[str, Any]:
    limits = [msgspec.structs.asdict(limit) | {"name": _text(limit.name), "unit": _text(limit.unit)} for limit in sample.limits[:_LIMITS]]
    return {
        "event_id": event.event_id,
        "place": place,
        "request_id": _text(sample.request_id),
        "at": instant(sample.at_ms),
        "org_id": event.org_id,
        "user_id": sample.user_id,
        "key_id": sample.key_id,
        "method": _text(sample.method),
        "path": _text(sample.path),
        "message": _text(sample.message, _MESSAGE),
        "model": sample.model and _text(sample.model),
        "limits": limits,
    }


def _text(text: str, most: int = _TEXT) -> str:
    """PostgreSQL keeps no NUL."""
    return text[:most].replace("\0", "")
