"""Who asks: the access token or the cookie of a request becomes a Principal, read anew each time, so that a deleted user is out at once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from controlplane import errors
from controlplane.errors import Problem
from controlplane.runtime import RuntimeNow
from controlplane.sign_in.cookies import CSRF_HEADER, SECURE_NAME
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.roles import Role

_bearer = HTTPBearer(auto_error=False, description="The token of POST /api/login.")
_cookie = APIKeyCookie(
    name=SECURE_NAME,
    auto_error=False,
    description="The cookie of POST /api/login with `session: cookie` (without TLS: ias_session); writes need the header X-CSRF-Token too.",
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person."""

    user_id: UUID
    org_id: UUID | None
    role: Role
    username: str
    session_id: UUID
    by_cookie: bool = False


async def open_unit_of_work(request: Request, runtime: RuntimeNow) -> AsyncIterator[UnitOfWork]:
    """One transaction for the request; it ends before the answer is sent."""
    attempt = request.state.attempt
    if attempt is not None:
        attempt.action = request.scope["route"].name
        attempt.named = tuple(map(str, request.path_params.values()))
    async with unit_of_work(runtime.engine, attempt) as uow:
        request.state.uow = uow
        yield uow


UnitOfWorkNow = Annotated[UnitOfWork, Depends(open_unit_of_work, scope="function")]
"""The request's transaction; a handler that is not public asks for an Access instead, which has it."""


async def authenticate(
    request: Request,
    uow: UnitOfWorkNow,
    runtime: RuntimeNow,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """Return the signed-in person; raise Problem 401 for everybody else, 403 for a write by cookie that another site may have caused."""
    by_cookie = "authorization" not in request.headers
    token = bearer.credentials if bearer else None
    session = await runtime.sessions.find(uow, token, runtime.sessions.cookie.read(request) if by_cookie else None)
    if session is None:
        raise errors.unauthenticated()
    uow.acts_for(session.id, session.org_id)
    if by_cookie and request.method not in _SAFE and not runtime.sessions.is_csrf_token(request.headers.get(CSRF_HEADER, ""), session.session_id):
        raise Problem(403, "csrf_token_invalid", "A write by cookie needs the header X-CSRF-Token: GET /api/session has its value.")
    request.state.session = session
    return Principal(session.id, session.org_id, Role(session.role), session.username, session.session_id, by_cookie)


CurrentPrincipal = Annotated[Principal, Depends(authenticate)]
