"""Routes of sign-in."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import BackgroundTasks, Query, Request, Response

from controlplane import errors
from controlplane.authentication import CurrentPrincipal, UnitOfWorkNow
from controlplane.authorization import PUBLIC, SIGNED_IN
from controlplane.errors import Problem
from controlplane.idempotency.route import Router
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.repository import EVERYTHING
from controlplane.runtime import RuntimeNow
from controlplane.sign_in import password_service, reset_service, service
from controlplane.sign_in.repository import SessionRepository
from controlplane.sign_in.rules import Client
from controlplane.sign_in.schemas import (
    LoginBody,
    OwnSessionView,
    PasswordChangeBody,
    ResetBody,
    ResetRequestBody,
    SessionStatus,
    SessionUser,
    SessionView,
)
from controlplane.sign_in.service import Began, Sessions
from controlplane.sign_in.tables import sessions

router = Router(tags=["sign-in"])


def hand_out(began: Began, sessions: Sessions, response: Response) -> SessionView:
    """Put the secret of a session into its cookie, if it has one."""
    if began.secret is not None:
        sessions.cookie.put(response, began.secret, datetime.now(UTC), began.view.expires_at)
    return began.view


def client_of(request: Request) -> Client:
    """Tell where a request that begins a session comes from."""
    return Client.of(request.state.client_address, request.headers.get("user-agent", ""))


@router.post("/admin/login", name="session.create_admin", dependencies=[PUBLIC])
@router.post("/login", name="session.create", dependencies=[PUBLIC])
async def login(body: LoginBody, request: Request, uow: UnitOfWorkNow, runtime: RuntimeNow, response: Response) -> SessionView:
    """Sign in with user name, or e-mail address, and password."""
    began = await service.sign_in(uow, body, client_of(request), runtime.sessions, runtime.passwords)
    return hand_out(began, runtime.sessions, response)


@router.get("/me", name="session.get_user", dependencies=[SIGNED_IN])
async def me(principal: CurrentPrincipal) -> SessionUser:
    """Tell who is signed in."""
    return SessionUser(id=principal.user_id, username=principal.username, role=principal.role, org_id=principal.org_id)


@router.get("/session", name="session.get", dependencies=[SIGNED_IN])
async def get_session(principal: CurrentPrincipal, runtime: RuntimeNow) -> SessionStatus:
    """Tell who is signed in, and with a cookie the token that writes need: a page that was loaded anew asks here."""
    user = SessionUser(id=principal.user_id, username=principal.username, role=principal.role, org_id=principal.org_id)
    return SessionStatus(csrf_token=runtime.sessions.csrf_token(principal.session_id) if principal.by_cookie else None, user=user)


@router.post("/session/renew", name="session.renew", dependencies=[SIGNED_IN])
async def renew_session(request: Request, principal: CurrentPrincipal, runtime: RuntimeNow) -> SessionView:
    """Get a new access token for the session of this one, which it does not prolong beyond its absolute end."""
    if principal.by_cookie:
        raise Problem(409, "session_is_a_cookie", "A cookie needs no renewal: it goes on while it is used.")
    return runtime.sessions.renew(request.state.session)


@router.delete("/session", name="session.delete", status_code=204, dependencies=[SIGNED_IN])
async def delete_session(principal: CurrentPrincipal, uow: UnitOfWorkNow, runtime: RuntimeNow, response: Response, everywhere: bool = False) -> None:
    """Sign out: end this session, or with `everywhere` all sessions of the user."""
    repository = SessionRepository(uow, EVERYTHING)
    if everywhere:
        await repository.end_all_of(principal.user_id)
        uow.audit(everywhere=True)
    else:
        await repository.end(principal.session_id)
    runtime.sessions.cookie.remove(response)


@router.get("/me/session", name="session.list", dependencies=[SIGNED_IN])
async def list_sessions(principal: CurrentPrincipal, uow: UnitOfWorkNow, page: Annotated[PageQuery, Query()]) -> Page[OwnSessionView]:
    """List your sessions that have not ended, the newest first."""
    found = SessionRepository(uow, EVERYTHING).living_of(principal.user_id, principal.session_id, datetime.now(UTC))
    return await fetch_page(uow, found, sessions.c.id, page, OwnSessionView)


@router.delete("/me/session/{session_id}", name="session.end", status_code=204, dependencies=[SIGNED_IN])
async def end_session(session_id: UUID, principal: CurrentPrincipal, uow: UnitOfWorkNow) -> None:
    """End one of your sessions, wherever it runs: its next request is refused."""
    if not await SessionRepository(uow, EVERYTHING).end_own(principal.user_id, session_id, datetime.now(UTC)):
        raise errors.not_found("session")


@router.post("/me/password", name="password.change", status_code=204, dependencies=[SIGNED_IN])
async def change_password(body: PasswordChangeBody, request: Request, principal: CurrentPrincipal, uow: UnitOfWorkNow, runtime: RuntimeNow) -> None:
    """Change the own password. All other sessions end."""
    await password_service.change(uow, principal, body, request.state.client_address, runtime.passwords)


@router.post("/password-reset", name="password.request_reset", status_code=204, dependencies=[PUBLIC])
async def request_reset(body: ResetRequestBody, request: Request, uow: UnitOfWorkNow, runtime: RuntimeNow, tasks: BackgroundTasks) -> None:
    """Ask for a mail with a link that sets another password. The answer is the same whether there is such an account."""
    await reset_service.admit(uow, body.username, request.state.client_address)
    tasks.add_task(reset_service.send_link, runtime, body.username)


@router.post("/password-reset/complete", name="password.reset", dependencies=[PUBLIC])
async def reset_password(body: ResetBody, request: Request, uow: UnitOfWorkNow, runtime: RuntimeNow, response: Response) -> SessionView:
    """Set the password by such a link, and be signed in. All other sessions end."""
    began = await reset_service.reset(uow, body, client_of(request), runtime)
    return hand_out(began, runtime.sessions, response)
