"""SQL of requests for access."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, not_, select

from controlplane.access_requests.tables import access_requests
from controlplane.catalog.tables import catalog_models
from controlplane.errors import Problem
from controlplane.quota_requests.rules import State
from controlplane.repository import Repository, refusing
from controlplane.schema import backends, users

_IS_PAST = and_(access_requests.c.state == State.OPEN, access_requests.c.expires_at <= func.now())


class AccessRequestRepository(Repository):
    """Requests within the reach."""

    def all(self, state: State | None = None) -> Select[Any]:
        """All of them, or those that are in a state at this moment."""
        username = select(users.c.username).where(users.c.id == access_requests.c.user_id).scalar_subquery().label("username")
        statement = (
            self.visible(access_requests, access_requests, username, backends.c.name.label("backend"), catalog_models.c.upstream_model)
            .join(catalog_models, catalog_models.c.id == access_requests.c.catalog_model_id)
            .join(backends, backends.c.id == catalog_models.c.backend_id)
        )
        if state is State.EXPIRED:
            return statement.where((access_requests.c.state == state) | _IS_PAST)
        return statement.where(access_requests.c.state == state, not_(_IS_PAST)) if state else statement

    async def by_id(self, access_request_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.all().where(access_requests.c.id == access_request_id))).one_or_none()

    async def lock(self, access_request_id: UUID) -> Row[Any] | None:
        """Hold one until the commit: of two who decide the second one sees what the first has decided."""
        statement = self.visible(access_requests).where(access_requests.c.id == access_request_id).with_for_update()
        return (await self.uow.execute(statement)).one_or_none()

    async def count_open(self, user_id: UUID) -> int:
        """How many open ones a user has, after writing down which have expired."""
        own = access_requests.c.user_id == user_id
        await self.uow.execute(self.update(access_requests).where(own, _IS_PAST).values(state=State.EXPIRED))
        statement = self.visible(access_requests, func.count()).where(own, access_requests.c.state == State.OPEN)
        count: int = (await self.uow.execute(statement)).scalar_one()
        return count

    async def add(self, values: dict[str, object]) -> None:
        """Insert one; raise Problem 409 when the same is asked for already."""
        already = Problem(409, "already_asked", "You have asked for this already: wait for an answer, or withdraw that request first.")
        with refusing("access_requests_asked_once", already):
            await self.uow.execute(insert(access_requests).values(values))

    async def end(self, access_request_id: UUID, state: State, at: datetime, **values: object) -> None:
        """Write how a locked one ended."""
        decided_at = at if "decided_by" in values else None
        statement = self.update(access_requests).where(access_requests.c.id == access_request_id)
        await self.uow.execute(statement.values(state=state, decided_at=decided_at, **values))
