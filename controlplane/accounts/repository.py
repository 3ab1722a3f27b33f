"""SQL of accounts."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, or_
from sqlalchemy.dialects.postgresql import insert as insert_or

from controlplane.errors import Problem
from controlplane.repository import Repository, refusing
from controlplane.schema import orgs, users
from ias.roles import Role

ACTIVE = and_(users.c.status == "active", or_(users.c.org_id.is_(None), orgs.c.status == "active"))
"""A user who may act now, with an org that may; for a query of users with their orgs."""


class AccountRepository(Repository):
    """Users and service identities."""

    async def active_person_called(self, name: str) -> Row[Any] | None:
        """A person who may act now, by user name or else by an e-mail address that no other active account has; in any case."""
        people = self.visible(users).join(orgs, orgs.c.id == users.c.org_id, isouter=True).where(ACTIVE, users.c.role != Role.SERVICE)
        plain = name.lower()
        rows = (await self.uow.execute(people.where(or_(func.lower(users.c.username) == plain, func.lower(users.c.email) == plain)).limit(3))).all()
        named = [row for row in rows if row.username.lower() == plain]
        return named[0] if named else rows[0] if len(rows) == 1 else None

    async def get(self, user_id: UUID) -> Row[Any]:
        """One user who is known to exist."""
        return (await self.uow.execute(self.visible(users).where(users.c.id == user_id))).one()

    async def add(self, user_id: UUID, org_id: UUID | None, username: str, role: Role, password_hash: str, email: str | None = None) -> Row[Any]:
        """Insert a user; raise Problem 409 when the name is taken."""
        taken = Problem(409, "username_taken", f"The user name '{username}' is taken: names are unique in the whole service, whatever their case.")
        values = {"id": user_id, "org_id": org_id, "username": username, "role": role, "password_hash": password_hash, "email": email}
        with refusing("users_username", taken):
            return (await self.uow.execute(insert(users).values(values).returning(users))).one()

    async def service_of(self, org_id: UUID, fresh_id: UUID, username: str) -> tuple[UUID, bool]:
        """Return the id of the org's service identity, and whether it was made just now."""
        values = {"id": fresh_id, "org_id": org_id, "username": username, "role": Role.SERVICE}
        await self.uow.execute(insert_or(users).values(values).on_conflict_do_nothing())
        living = self.visible(users, users.c.id).where(users.c.org_id == org_id, users.c.username == username, users.c.status != "deleted")
        found: UUID = (await self.uow.execute(living)).scalar_one()
        return found, found == fresh_id

    async def has_address(self, email: str) -> bool:
        """Whether a visible person has an e-mail address, as such or as user name."""
        plain = email.lower()
        same = or_(func.lower(users.c.email) == plain, func.lower(users.c.username) == plain)
        found = self.visible(users, users.c.id).where(users.c.status != "deleted", same).limit(1)
        return (await self.uow.execute(found)).one_or_none() is not None

    async def change_role(self, user_id: UUID, role: Role) -> Row[Any]:
        """Give a person another role; it holds from the next request on."""
        return (await self.uow.execute(self.update(users).where(users.c.id == user_id).values(role=role).returning(users))).one()

    async def other_admins(self, org_id: UUID, user_id: UUID) -> int:
        """Count the org admins beside one, and hold the org's row until the commit, so that two admins cannot remove each other."""
        await self.uow.execute(self.visible(orgs, orgs.c.id).where(orgs.c.id == org_id).with_for_update())
        others = (users.c.org_id == org_id, users.c.role == Role.ORG_ADMIN, users.c.status == "active", users.c.id != user_id)
        count: int = (await self.uow.execute(self.visible(users, func.count()).where(*others))).scalar_one()
        return count

    def system_admins(self) -> Select[Any]:
        """All System Admins that are not deleted."""
        return self.visible(users).where(users.c.status != "deleted", users.c.role == Role.SYSTEM_ADMIN)

    async def system_admin(self, user_id: UUID) -> Row[Any] | None:
        """One of them; all are held until the commit, so that two cannot remove each other."""
        rows = (await self.uow.execute(self.system_admins().order_by(users.c.id).with_for_update())).all()
        return next((row for row in rows if row.id == user_id), None)

    def services(self) -> Select[Any]:
        """Visible service accounts that people made."""
        return self.visible(users).where(users.c.status != "deleted", users.c.role == Role.SERVICE, users.c.username.like("%:%:%"))

    async def service(self, user_id: UUID) -> Row[Any] | None:
        """One of them."""
        return await self._one(self.services().where(users.c.id == user_id))

    async def add_service(self, user_id: UUID, org_id: UUID, username: str) -> Row[Any]:
        """Insert a service account; raise Problem 409 when the org has one of that name."""
        values = {"id": user_id, "org_id": org_id, "username": username, "role": Role.SERVICE}
        with refusing("users_username", Problem(409, "service_account_exists", "The org has a service account of that name: choose another one.")):
            return (await self.uow.execute(insert(users).values(values).returning(users))).one()

    def people(self) -> Select[Any]:
        """Visible users who are persons and not deleted."""
        return self.visible(users).where(users.c.status != "deleted", users.c.role != Role.SERVICE)

    async def person(self, user_id: UUID) -> Row[Any] | None:
        """One of them."""
        return await self._one(self.people().where(users.c.id == user_id))

    async def set_status(self, user_id: UUID, status: Literal["active", "disabled"]) -> Row[Any]:
        """Let a user act, or not; sessions end with either, so that none comes back to life."""
        values = {"status": status, "token_generation": users.c.token_generation + 1}
        return (await self.uow.execute(self.update(users).where(users.c.id == user_id).values(values).returning(users))).one()

    async def bury(self, user_id: UUID) -> None:
        """Leave the tombstone of a user; sessions end."""
        gone = {"status": "deleted", "password_hash": None, "token_generation": users.c.token_generation + 1}
        await self.uow.execute(self.update(users).where(users.c.id == user_id).values(gone))

    async def bury_all_of(self, org_id: UUID) -> None:
        """Leave the tombstones of an org's users and services, so that their names are free again."""
        gone = {"status": "deleted", "password_hash": None, "token_generation": users.c.token_generation + 1}
        await self.uow.execute(self.update(users).where(users.c.org_id == org_id, users.c.status != "deleted").values(gone))

    async def store_hash(self, user_id: UUID, password_hash: str) -> None:
        """Replace a password hash."""
        await self.uow.execute(self.update(users).where(users.c.id == user_id).values(password_hash=password_hash))

    async def lock(self, user_id: UUID) -> None:
        """Hold a user's row, so that what is counted for the user stays true until the commit."""
        await self.uow.execute(self.visible(users, users.c.id).where(users.c.id == user_id).with_for_update())

    async def has_system_admin(self) -> bool:
        """Whether somebody can administrate the service."""
        statement = self.visible(users, func.count()).where(users.c.role == Role.SYSTEM_ADMIN, users.c.status != "deleted")
        count: int = (await self.uow.execute(statement)).scalar_one()
        return count > 0

    async def _one(self, statement: Select[Any]) -> Row[Any] | None:
        return (await self.uow.execute(statement)).one_or_none()
