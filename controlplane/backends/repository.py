"""SQL of the backends. They belong to no org: a reach of one org raises."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, insert, or_, select

from controlplane.backends.rules import Verdict, as_id
from controlplane.errors import Problem
from controlplane.publishing.tables import publication_targets
from controlplane.repository import Repository, refusing
from controlplane.schema import backends, publications
from ias.gateway_views import ModelType

LIVING = backends.c.status != "deleted"


class BackendRepository(Repository):
    """Rows of `backends`."""

    async def add(self, backend_id: UUID, name: str, base_url: str, verdict: Verdict, at: datetime) -> None:
        """Insert a backend; raises Problem when a living one has the name."""
        taken = Problem(409, "backend_exists", f"There is a backend '{name}' already. Choose another name, or delete that one first.")
        values = {"id": backend_id, "name": name, "base_url": base_url, "kind": ModelType.OPENAI.value, **_health(verdict, at)}
        with refusing("backends_name", taken):
            await self.uow.execute(insert(backends).values(values))

    async def find(self, id_or_name: str, *, for_update: bool = False) -> Row[Any] | None:
        """Return a living backend, locked if asked for."""
        query = self.living().where(or_(backends.c.name == id_or_name, backends.c.id == as_id(id_or_name)))
        return (await self.uow.execute(query.with_for_update() if for_update else query)).one_or_none()

    def living(self) -> Select[Any]:
        """Select all living backends."""
        return self.visible(backends).where(LIVING)

    async def every(self) -> Sequence[Row[Any]]:
        """Return all living backends in order of name."""
        return (await self.uow.execute(self.living().order_by(backends.c.name))).all()

    async def record(self, backend_id: UUID, verdict: Verdict, at: datetime) -> None:
        """Keep the result of a probe, unless that of a later one is there already."""
        not_later = or_(backends.c.checked_at.is_(None), backends.c.checked_at <= at)
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id, LIVING, not_later).values(_health(verdict, at)))

    async def move(self, backend_id: UUID, base_url: str) -> None:
        """Give a backend another address."""
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id, LIVING).values(base_url=base_url))

    async def in_use(self, backend_id: UUID) -> bool:
        """Whether a publication sends its requests there."""
        is_target = exists().where(publication_targets.c.publication_id == publications.c.id, publication_targets.c.backend_id == backend_id)
        used = exists().where(publications.c.status != "deleted", or_(publications.c.backend_id == backend_id, is_target))
        return bool((await self.uow.execute(select(used))).scalar_one())

    async def remove(self, backend_id: UUID) -> None:
        """Make a tombstone of a backend: publications of the past refer to it."""
        await self.uow.execute(self.update(backends).where(backends.c.id == backend_id).values(status="deleted"))


def _health(verdict: Verdict, at: datetime) -> dict[str, Any]:
    known: dict[str, Any] = {} if verdict.models is None else {"models": list(verdict.models)}
    if verdict.model_type is not None:
        known["kind"] = verdict.model_type.value
    return {"health": verdict.health.value, "health_reason": verdict.reason or None, "checked_at": at, **known}
