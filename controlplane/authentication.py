"""Who asks: the session token of a request becomes a Principal, read anew for each request, so that a deleted user is out at once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.repository import EVERYTHING
from controlplane.runtime import RuntimeNow
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.roles import Role

_bearer = HTTPBearer(auto_error=False, description="The token of POST /api/login.")


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person."""

    user_id: UUID
    org_id: UUID | None
    role: Role
    username: str


async def open_unit_of_work(request: Request, runtime: RuntimeNow) -> AsyncIterator[UnitOfWork]:
    """One transaction for the request; it ends before the answer is sent."""
    attempt = request.state.attempt
    if attempt is not None:
        attempt.action = request.scope["route"].name
        attempt.named = tuple(map(str, request.path_params.values()))
    async with unit_of_work(runtime.engine, attempt) as uow:
        yield uow


UnitOfWorkNow = Annotated[UnitOfWork, Depends(open_unit_of_work, scope="function")]
"""The request's transaction; a handler that is not public asks for an Access instead, which has it."""


async def authenticate(
    uow: UnitOfWorkNow, runtime: RuntimeNow, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Return the signed-in person; raise Problem 401 for everybody else."""
    claims = runtime.tokens.read(bearer.credentials, datetime.now(UTC)) if bearer else None
    user = await AccountRepository(uow, EVERYTHING).active_user(claims.user_id) if claims else None
    if claims is None or user is None or user.token_generation != claims.generation:
        raise errors.unauthenticated()
    uow.acts_for(user.id, user.org_id)
    return Principal(user.id, user.org_id, Role(user.role), user.username)


CurrentPrincipal = Annotated[Principal, Depends(authenticate)]
