"""SQL of invites."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, or_

from controlplane.errors import Problem
from controlplane.invites.tables import invites
from controlplane.repository import Repository, refusing
from controlplane.schema import orgs

_OPEN = and_(invites.c.accepted_at.is_(None), invites.c.revoked_at.is_(None))


class InviteRepository(Repository):
    """Invites of the orgs within the reach."""

    def all(self) -> Select[Any]:
        """All visible ones, answered and revoked ones too."""
        return self.visible(invites)

    async def by_id(self, invite_id: UUID) -> Row[Any] | None:
        """One of them, locked until the commit."""
        return (await self.uow.execute(self.all().where(invites.c.id == invite_id).with_for_update())).one_or_none()

    async def count_open(self) -> int:
        """How many wait for an answer."""
        count: int = (await self.uow.execute(self.visible(invites, func.count()).where(_OPEN))).scalar_one()
        return count

    async def add(self, invite: Mapping[str, object]) -> Row[Any]:
        """Insert an invite; raise Problem 409 when that address is invited already."""
        already = Problem(409, "already_invited", "That address is invited already: resend the invite, or revoke it first.")
        with refusing("invites_pending", already):
            return (await self.uow.execute(insert(invites).values(invite).returning(invites))).one()

    async def renew(self, invite_id: UUID, token_hash: bytes, sent_at: datetime, expires_at: datetime) -> Row[Any]:
        """Give an invite another secret; the link before is dead."""
        statement = self.update(invites).where(invites.c.id == invite_id).values(token_hash=token_hash, sent_at=sent_at, expires_at=expires_at)
        return (await self.uow.execute(statement.returning(invites))).one()

    async def revoke(self, invite_id: UUID) -> None:
        """Revoke an invite that waits for an answer."""
        await self.uow.execute(self.update(invites).where(invites.c.id == invite_id, _OPEN).values(revoked_at=func.now()))

    async def open_with(self, token_hash: bytes, now: datetime) -> Row[Any] | None:
        """The invite that a secret opens, into an org that is active."""
        statement = self.visible(invites).join(orgs, orgs.c.id == invites.c.org_id, isouter=True).where(self._opens(token_hash, now))
        return (await self.uow.execute(statement.where(or_(invites.c.org_id.is_(None), orgs.c.status == "active")))).one_or_none()

    async def accept(self, token_hash: bytes, now: datetime) -> bool:
        """Use the secret up; False: somebody was quicker."""
        used = self.update(invites).where(self._opens(token_hash, now)).values(accepted_at=now)
        return (await self.uow.execute(used.returning(invites.c.id))).one_or_none() is not None

    async def accepted_by(self, invite_id: UUID, user_id: UUID) -> None:
        """Note who came."""
        await self.uow.execute(self.update(invites).where(invites.c.id == invite_id).values(accepted_by=user_id))

    @staticmethod
    def _opens(token_hash: bytes, now: datetime) -> ColumnElement[bool]:
        return and_(invites.c.token_hash == token_hash, _OPEN, invites.c.expires_at > now)
