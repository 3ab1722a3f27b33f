"""SQL of keys and their credentials."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, select, update

from controlplane.repository import Repository
from controlplane.schema import credentials, keys


class KeyRepository(Repository):
    """Keys; the newest credential of a key gives its hint."""

    def all(self) -> Select[Any]:
        """All visible ones, revoked ones too."""
        newest = select(credentials.c.hint).where(credentials.c.key_id == keys.c.id).order_by(credentials.c.created_at.desc()).limit(1)
        return self.visible(keys, keys, newest.scalar_subquery().label("hint"))

    async def by_id(self, key_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.all().where(keys.c.id == key_id))).one_or_none()

    async def count_of(self, user_id: UUID) -> int:
        """Keys of a user that are not revoked."""
        statement = self.visible(keys, func.count()).where(keys.c.user_id == user_id, keys.c.status != "revoked")
        count: int = (await self.uow.execute(statement)).scalar_one()
        return count

    async def add(self, key: Mapping[str, object], credential: Mapping[str, object]) -> None:
        """Insert a key with its first credential."""
        await self.uow.execute(insert(keys).values(key))
        await self.uow.execute(insert(credentials).values(credential))

    async def revoke(self, key_ids: Sequence[UUID]) -> Sequence[str]:
        """Revoke keys with all their credentials; return the credential ids that stopped by this."""
        await self.uow.execute(self.update(keys).where(keys.c.id.in_(key_ids), keys.c.status != "revoked").values(status="revoked"))
        return await self._revoke_credentials(self.visible(keys, keys.c.id).where(keys.c.id.in_(key_ids)))

    async def revoke_all(self) -> None:
        """Revoke every key within the reach."""
        await self.uow.execute(self.update(keys).where(keys.c.status != "revoked").values(status="revoked"))
        await self._revoke_credentials(self.visible(keys, keys.c.id))

    async def living_of(self, user_id: UUID) -> Sequence[UUID]:
        """Ids of a user's keys that are not revoked."""
        return (await self.uow.execute(self.visible(keys, keys.c.id).where(keys.c.user_id == user_id, keys.c.status != "revoked"))).scalars().all()

    async def _revoke_credentials(self, of_keys: Select[Any]) -> Sequence[str]:
        statement = update(credentials).where(credentials.c.key_id.in_(of_keys), credentials.c.revoked_at.is_(None)).values(revoked_at=func.now())
        return (await self.uow.execute(statement.returning(credentials.c.credential_id))).scalars().all()
