"""SQL of the audit log and of the seals over it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Row, Select, Text, cast, func, insert, or_, select

from controlplane.audit.chain import Entry, Seal
from controlplane.audit.rules import Attempt, Outcome, Sought, redact, targets_of
from controlplane.ids import first_id
from controlplane.repository import Repository
from controlplane.schema import audit_log, audit_seals, users
from ias.ids import uuid7

_log = audit_log.c
_CHAINED = (
    _log.seq,
    _log.id,
    _log.timestamp,
    _log.org_id,
    _log.user_id_performing_action,
    _log.action_type,
    cast(_log.payload, Text),
    _log.outcome,
    _log.request_id,
    _log.client_address,
    _log.targets,
)
_SEAL = [audit_seals.c[name] for name in Seal.__dataclass_fields__]


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
        targets=targets_of(attempt),
    )


class AuditRepository(Repository):
    """Reading within a reach."""

    def entries(self, sought: Sought) -> Select[Any]:
        """All visible rows that are sought, with the name of who acted."""
        who = users.alias("who")
        query = self.visible(audit_log, audit_log, who.c.username.label("actor"))
        query = query.select_from(audit_log.outerjoin(who, who.c.id == _log.user_id_performing_action))
        if sought.actor is not None:
            query = query.where(_is_actor(sought.actor))
        if sought.action is not None:
            query = query.where(_is_action(sought.action))
        if sought.outcome is not None:
            query = query.where(_log.outcome == sought.outcome)
        if sought.target is not None:
            query = query.where(_log.targets.contains([sought.target]))
        if sought.since is not None:
            query = query.where(_log.id >= first_id(sought.since))
        if sought.until is not None:
            query = query.where(_log.id < first_id(sought.until))
        return query


class ChainRepository(Repository):
    """Rows in their final order, and the seals. Only for the service's own work."""

    async def last_seq(self) -> int | None:
        """The highest number of a row."""
        found: int | None = (await self.uow.execute(select(func.max(_log.seq)))).scalar_one()
        return found

    async def waiting(self, most: int) -> tuple[int, datetime | None]:
        """How many rows are not sealed, counted to `most`, and since when the oldest waits."""
        behind = select(_log.timestamp).where(_log.seq > _sealed_to()).limit(most).subquery()
        found = await self.uow.execute(select(func.count().label("rows"), func.min(behind.c.timestamp).label("oldest")).select_from(behind))
        row = found.one()
        return row.rows, row.oldest

    async def count_behind(self, seq: int) -> int:
        """How many rows follow a number."""
        return int((await self.uow.execute(self.visible(audit_log, func.count()).where(_log.seq > seq))).scalar_one())

    async def entries(self, after: int | None, last: int, most: int | None) -> list[Entry]:
        """The rows above `after`, if it is given, and not above `last`, in order, the first `most` of them."""
        query = select(*_CHAINED).where(_log.seq <= last).order_by(_log.seq).limit(most)
        if after is not None:
            query = query.where(_log.seq > after)
        return [Entry._make(row) for row in (await self.uow.execute(query)).all()]

    async def last_seal(self) -> Seal | None:
        """The newest seal."""
        return _seal_of((await self.uow.execute(select(*_SEAL).order_by(audit_seals.c.number.desc()).limit(1))).all())

    async def next_seal(self, number: int) -> Seal | None:
        """The first seal behind a number."""
        query = select(*_SEAL).where(audit_seals.c.number > number).order_by(audit_seals.c.number).limit(1)
        return _seal_of((await self.uow.execute(query)).all())

    async def add(self, seal: Seal) -> None:
        """Add a seal to the chain."""
        await self.uow.execute(insert(audit_seals).values({column.name: getattr(seal, column.name) for column in _SEAL}))


def _sealed_to() -> Any:
    return func.coalesce(select(func.max(audit_seals.c.last_seq)).scalar_subquery(), 0)


def _seal_of(rows: Sequence[Row[Any]]) -> Seal | None:
    return Seal(*tuple(rows[0])) if rows else None


def _is_action(action: str) -> Any:
    """One of the vocabulary, or all that begin alike: `key.*`."""
    return _log.action_type.startswith(action[:-1], autoescape=True) if action.endswith("*") else _log.action_type == action


def _is_actor(actor: str) -> Any:
    """By id, or by a name that somebody had."""
    named = _log.user_id_performing_action.in_(select(users.c.id).where(users.c.username == actor))
    try:
        return or_(_log.user_id_performing_action == UUID(actor), named)
    except ValueError:
        return named
