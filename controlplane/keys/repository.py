"""SQL of keys and their credentials."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from controlplane.keys.filtering import conditions
from controlplane.keys.rules import Validity
from controlplane.keys.schemas import KeyFilter
from controlplane.repository import Repository
from controlplane.schema import credentials, keys, publication_tenants, publications, users
from ias.gateway_views import CREDENTIALS

_LIVE = credentials.c.revoked_at.is_(None) & func.coalesce(credentials.c.valid_until > func.now(), True)

_SEEN_BY_GATEWAY = text(f"""
SELECT c.digest, c.pepper_version, c.valid_until, c.key_expires_at, c.key_active AND c.user_active AND c.org_active AS is_active,
  k.id AS key_id, k.org_id, k.name, k.allowed_models
FROM {CREDENTIALS} c JOIN keys k ON k.id = c.key_id::uuid WHERE c.credential_id = :credential_id
""")  # noqa: S608  # a constant


def _of_this_key(what: Any) -> Select[Any]:
    return select(what).where(credentials.c.key_id == keys.c.id)


def _with_credentials() -> list[Any]:
    """The columns of a key that come from elsewhere: owner, the newest secret's hint, the live secrets."""
    newest_first = credentials.c.created_at.desc()
    facts = {"hint": credentials.c.hint, "created_at": credentials.c.created_at, "valid_until": credentials.c.valid_until}
    shown = func.jsonb_build_object(*(part for pair in facts.items() for part in pair))
    live = _of_this_key(func.coalesce(func.jsonb_agg(aggregate_order_by(shown, newest_first)), text("'[]'::jsonb"))).where(
        _LIVE, keys.c.status != "revoked"
    )
    owner = select(users.c.username).where(users.c.id == keys.c.user_id)
    return [
        owner.scalar_subquery().label("username"),
        _of_this_key(credentials.c.hint).order_by(newest_first).limit(1).scalar_subquery().label("hint"),
        live.scalar_subquery().label("credentials"),
    ]


class KeyRepository(Repository):
    """Keys within the reach."""

    def all(self, wanted: KeyFilter | None = None) -> Select[Any]:
        """Those that a filter means, revoked ones too; without one all."""
        statement = self.visible(keys, keys, *_with_credentials())
        return statement.where(*conditions(wanted)) if wanted else statement

    async def by_id(self, key_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.all().where(keys.c.id == key_id))).one_or_none()

    async def oldest_unrevoked(self, wanted: KeyFilter, most: int) -> tuple[Sequence[Row[Any]], int]:
        """Return those that a filter means, the oldest first, and how many they are without the limit; held until the commit."""
        meant = (*conditions(wanted), keys.c.status != "revoked")
        # `key_share` leaves alone who only refers to a key.
        await self.uow.execute(self.visible(keys, keys.c.id).where(*meant).order_by(keys.c.id).limit(most).with_for_update(key_share=True))
        rows = (await self.uow.execute(self.all().where(*meant).order_by(keys.c.id).limit(most))).all()
        total: int = (await self.uow.execute(self.visible(keys, func.count()).where(*meant))).scalar_one()
        return rows, total

    async def with_ids(self, key_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
        """Return keys, the oldest first."""
        return (await self.uow.execute(self.all().where(keys.c.id.in_(key_ids)).order_by(keys.c.id))).all()

    async def seen_by_gateway(self, credential_id: str) -> Row[Any] | None:
        """What the data plane decides by: of a credential that is not revoked and not past its end."""
        return (await self.uow.execute(_SEEN_BY_GATEWAY.bindparams(credential_id=credential_id))).one_or_none()

    async def models_of(self, org_id: UUID) -> Sequence[str]:
        """Names of the published models that an org may use."""
        open_to = select(publication_tenants.c.publication_id).where(publication_tenants.c.org_id == org_id)
        statement = select(publications.c.model).where(publications.c.status == "published", publications.c.id.in_(open_to))
        return (await self.uow.execute(statement.order_by(publications.c.model))).scalars().all()

    async def lock(self, key_id: UUID) -> Row[Any] | None:
        """Hold a key until the commit: who changes it waits for each other."""
        return (await self.uow.execute(self.visible(keys).where(keys.c.id == key_id).with_for_update(key_share=True))).one_or_none()

    async def count_of(self, user_id: UUID) -> int:
        """Keys of a user that are not revoked."""
        statement = self.visible(keys, func.count()).where(keys.c.user_id == user_id, keys.c.status != "revoked")
        count: int = (await self.uow.execute(statement)).scalar_one()
        return count

    async def add(self, key: Mapping[str, object], credential: Mapping[str, object]) -> None:
        """Insert a key with its first credential."""
        await self.uow.execute(insert(keys).values(key))
        await self.add_credential(credential)

    async def add_credential(self, credential: Mapping[str, object]) -> None:
        """Insert one more credential of a key."""
        await self.uow.execute(insert(credentials).values(credential))

    async def change(self, key_id: UUID, values: Mapping[str, object]) -> None:
        """Write columns of a key and count its version up."""
        await self.uow.execute(self.update(keys).where(keys.c.id == key_id).values(**values, version=keys.c.version + 1))

    async def live_credentials(self, key_id: UUID) -> list[Validity]:
        """Return the credentials of a locked key that are good now."""
        statement = select(credentials.c.credential_id, credentials.c.valid_until).where(credentials.c.key_id == key_id, _LIVE)
        return [Validity(row.credential_id, row.valid_until) for row in await self.uow.execute(statement)]

    async def end_credential(self, credential_id: str, at: datetime | None) -> None:
        """Say until when a credential of a locked key is good; None: it ends now, whatever the clocks of others say."""
        end = {"valid_until": at} if at else {"revoked_at": func.now()}
        await self.uow.execute(update(credentials).where(credentials.c.credential_id == credential_id).values(end))

    async def role_of(self, user_id: UUID) -> str | None:
        """Return the role of an owner of keys who is active."""
        return (
            await self.uow.execute(self.visible(users, users.c.role).where(users.c.id == user_id, users.c.status == "active"))
        ).scalar_one_or_none()

    async def role_of_owner(self, key_id: UUID) -> str | None:
        """Return the role of whose key it is."""
        statement = self.visible(keys, users.c.role).join(users, users.c.id == keys.c.user_id).where(keys.c.id == key_id)
        return (await self.uow.execute(statement)).scalar_one_or_none()

    async def revoke(self, key_ids: Sequence[UUID]) -> Sequence[str]:
        """Revoke keys with all their credentials; return the credential ids that stopped by this."""
        unrevoked = self.visible(keys, keys.c.id).where(keys.c.id.in_(key_ids), keys.c.status != "revoked")
        # In order of id, as the writer of `last_used_at` does it, so that two of us cannot deadlock.
        await self.uow.execute(unrevoked.order_by(keys.c.id).with_for_update(key_share=True))
        gone = {"status": "revoked", "version": keys.c.version + 1}
        await self.uow.execute(self.update(keys).where(keys.c.id.in_(key_ids), keys.c.status != "revoked").values(gone))
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
