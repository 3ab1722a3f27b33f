"""SQL of single requests: those that were admitted are in the ledger, those that were refused are kept as samples."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, or_

from controlplane.repository import Repository
from controlplane.schema import backends, keys, ledger, orgs, publications, refused_requests, security_events, users
from controlplane.usage.rules import instant
from ias.ids import uuid7_ms

MOST = 100
"""Of one id: clients may choose it, and choose it again."""


class RequestRepository(Repository):
    """Requests within the reach, with the names that they had to do with as they are today."""

    async def admitted(self, given_id: str) -> Sequence[Row[Any]]:
        """Rows of the ledger by request id or by reservation id, newest first."""
        found = ledger.c.request_id == given_id
        if (reservation := _reservation(given_id)) is not None:
            event_id, admitted_at = reservation
            found = or_(found, and_(ledger.c.admitted_at == admitted_at, ledger.c.event_id == event_id))
        tables = ledger.outerjoin(publications, publications.c.id == ledger.c.publication_id).outerjoin(
            backends, backends.c.id == publications.c.backend_id
        )
        query = self._named(ledger, tables, ledger, backends.c.name.label("backend")).where(found)
        return (await self.uow.execute(query.order_by(ledger.c.admitted_at.desc(), ledger.c.event_id.desc()).limit(MOST))).all()

    async def refused(self, request_id: str) -> Sequence[Row[Any]]:
        """Samples by request id, newest first."""
        event = security_events.c
        tables = refused_requests.join(security_events, event.id == refused_requests.c.event_id)
        columns = (refused_requests, event.status, event.code, event.credential, event.address, event.minute, event.requests.label("alike"))
        query = self._named(refused_requests, tables, *columns).where(refused_requests.c.request_id == request_id)
        return (await self.uow.execute(query.order_by(refused_requests.c.at.desc()).limit(MOST))).all()

    def _named(self, table: Any, tables: Any, *columns: Any) -> Select[Any]:
        for named, column in ((users, table.c.user_id), (keys, table.c.key_id), (orgs, table.c.org_id)):
            tables = tables.outerjoin(named, named.c.id == column)
        names = (users.c.username.label("username"), keys.c.name.label("key_name"), orgs.c.slug.label("org"))
        return self.visible(table, *columns, *names).select_from(tables)


def _reservation(text: str) -> tuple[UUID, datetime] | None:
    """A reservation id with its time of admission, by which the ledger finds it without a search."""
    try:
        reservation = UUID(text)
        return reservation, instant(uuid7_ms(reservation))
    except ValueError:  # no UUIDv7, or one of a time that no calendar has
        return None
