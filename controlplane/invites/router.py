"""Routes of invites."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from controlplane.authentication import UnitOfWorkNow
from controlplane.authorization import PUBLIC, Access, require
from controlplane.idempotency.route import Router
from controlplane.invites import service
from controlplane.invites.repository import InviteRepository
from controlplane.invites.schemas import AcceptBody, InviteView, NewInviteBody, SentInviteView
from controlplane.invites.tables import invites
from controlplane.orgs.service import find
from controlplane.pagination import Page, PageQuery, fetch_rows
from controlplane.runtime import RuntimeNow
from controlplane.sign_in.router import client_of, hand_out
from controlplane.sign_in.schemas import SessionView
from ias.roles import Permission

router = Router(tags=["invites"])
Inviter = Annotated[Access, require(Permission.USERS_MANAGE)]


@router.post("/org/{org}/invite", name="invite.create", status_code=201)
async def create_invite(org: str, body: NewInviteBody, access: Inviter, runtime: RuntimeNow, response: Response) -> SentInviteView:
    """Invite somebody by mail."""
    found = await find(access, org)
    sent = await service.invite(access, found, body, runtime)
    response.headers["location"] = f"/api/org/{found.id}/invite/{sent.id}"
    return sent


@router.get("/org/{org}/invite", name="invite.list")
async def list_invites(org: str, access: Inviter, page: Annotated[PageQuery, Query()]) -> Page[InviteView]:
    """List the invites of an org, answered ones too."""
    repository = InviteRepository(access.uow, access.reach.within((await find(access, org)).id))
    rows, next_cursor = await fetch_rows(access.uow, repository.all(), invites.c.id, page)
    now = datetime.now(UTC)
    return Page[InviteView](items=[InviteView.of(row, now) for row in rows], next_cursor=next_cursor)


@router.post("/org/{org}/invite/{invite_id}/resend", name="invite.resend")
async def resend_invite(org: str, invite_id: UUID, access: Inviter, runtime: RuntimeNow) -> SentInviteView:
    """Send an invite again, with another link."""
    return await service.resend(access, await find(access, org), invite_id, runtime)


@router.delete("/org/{org}/invite/{invite_id}", name="invite.revoke", status_code=204)
async def revoke_invite(org: str, invite_id: UUID, access: Inviter) -> None:
    """Revoke an invite: its link is worthless at once."""
    await service.revoke(access, await find(access, org), invite_id)


@router.post("/invite/accept", name="invite.accept", dependencies=[PUBLIC])
async def accept_invite(body: AcceptBody, request: Request, uow: UnitOfWorkNow, runtime: RuntimeNow, response: Response) -> SessionView:
    """Accept an invite: set a password, and be signed in."""
    began = await service.accept(uow, body, client_of(request), runtime)
    return hand_out(began, runtime.sessions, response)
