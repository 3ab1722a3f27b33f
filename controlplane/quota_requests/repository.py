"""SQL of requests for more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, not_, select

from controlplane.errors import Problem
from controlplane.quota_requests.rules import State
from controlplane.repository import Repository, refusing
from controlplane.schema import quota_requests, users

_IS_PAST = and_(quota_requests.c.state == State.OPEN, quota_requests.c.expires_at <= func.now())


class QuotaRequestRepository(Repository):
    """Requests within the reach."""

    def all(self, state: State | None = None) -> Select[Any]:
        """All of them, or those that are in a state at this moment."""
        username = select(users.c.username).where(users.c.id == quota_requests.c.user_id).scalar_subquery().label("username")
        statement = self.visible(quota_requests, quota_requests, username)
        if state is State.EXPIRED:
            return statement.where((quota_requests.c.state == state) | _IS_PAST)
        return statement.where(quota_requests.c.state == state, not_(_IS_PAST)) if state else statement

    async def by_id(self, quota_request_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.all().where(quota_requests.c.id == quota_request_id))).one_or_none()

    async def lock(self, quota_request_id: UUID) -> Row[Any] | None:
        """Hold one until the commit: of two who decide the second one sees what the first has decided."""
        statement = self.visible(quota_requests).where(quota_requests.c.id == quota_request_id).with_for_update()
        return (await self.uow.execute(statement)).one_or_none()

    async def count_open(self, user_id: UUID) -> int:
        """How many open ones a user has, after writing down which have expired."""
        own = quota_requests.c.user_id == user_id
        await self.uow.execute(self.update(quota_requests).where(own, _IS_PAST).values(state=State.EXPIRED))
        statement = self.visible(quota_requests, func.count()).where(own, quota_requests.c.state == State.OPEN)
        count: int = (await self.uow.execute(statement)).scalar_one()
        return count

    async def add(self, values: Mapping[str, object]) -> None:
        """Insert one; raise Problem 409 when the same is asked for already."""
        already = Problem(409, "already_asked", "You have asked for this already: wait for an answer, or withdraw that request first.")
        with refusing("quota_requests_asked_once", already):
            await self.uow.execute(insert(quota_requests).values(values))

    async def end(self, quota_request_id: UUID, state: State, at: datetime, **values: object) -> None:
        """Write how a locked one ended."""
        decided_at = at if "decided_by" in values else None
        statement = self.update(quota_requests).where(quota_requests.c.id == quota_request_id)
        await self.uow.execute(statement.values(state=state, decided_at=decided_at, **values))
