"""SQL of orgs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert

from controlplane.errors import Problem
from controlplane.repository import Repository, refusing
from controlplane.schema import orgs


class OrgRepository(Repository):
    """Orgs that are not deleted."""

    def living(self) -> Select[Any]:
        """All visible ones."""
        return self.visible(orgs).where(orgs.c.status != "deleted")

    async def by_id(self, org_id: UUID) -> Row[Any] | None:
        """One by id."""
        return (await self.uow.execute(self.living().where(orgs.c.id == org_id))).one_or_none()

    async def by_slug(self, slug: str) -> Row[Any] | None:
        """One by slug."""
        return (await self.uow.execute(self.living().where(orgs.c.slug == slug))).one_or_none()

    async def add(self, org_id: UUID, slug: str, name: str) -> Row[Any]:
        """Insert an org; raise Problem 409 when the slug is taken."""
        taken = Problem(409, "slug_taken", f"There is an org with the slug '{slug}' already: give another one.")
        with refusing("orgs_slug", taken):
            return (await self.uow.execute(insert(orgs).values(id=org_id, slug=slug, name=name).returning(orgs))).one()

    async def locked(self, org_id: UUID) -> Row[Any]:
        """One that is known to exist, held until the commit."""
        return (await self.uow.execute(self.visible(orgs).where(orgs.c.id == org_id).with_for_update())).one()

    async def change(self, org_id: UUID, **values: object) -> Row[Any]:
        """Change an org; its version moves on."""
        statement = self.update(orgs).where(orgs.c.id == org_id).values(**values, version=orgs.c.version + 1)
        return (await self.uow.execute(statement.returning(orgs))).one()

    async def due(self, now: datetime) -> UUID | None:
        """An org whose time to be restored is over, held until the commit; one that somebody else holds is left to them."""
        due = self.visible(orgs, orgs.c.id).where(orgs.c.status == "deleting", orgs.c.purge_at <= now)
        found: UUID | None = (await self.uow.execute(due.limit(1).with_for_update(skip_locked=True))).scalar_one_or_none()
        return found
