"""Routes of requests for access."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from controlplane.access_requests import service
from controlplane.access_requests.repository import AccessRequestRepository
from controlplane.access_requests.schemas import AccessRequestQuery, AccessRequestView, AnswerBody, NewAccessRequestBody, RefusalBody
from controlplane.access_requests.tables import access_requests
from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, fetch_page
from ias.roles import Permission

router = Router(tags=["access requests"])
Asker = Annotated[Access, require(Permission.MODELS_REQUEST)]
Approver = Annotated[Access, require(Permission.MODELS_APPROVE)]
OwnOrAll = Annotated[Access, require(Permission.MODELS_REQUEST, Permission.MODELS_APPROVE)]


@router.post("/access_request", name="access_request.create", status_code=201)
async def ask_for_a_model(body: NewAccessRequestBody, access: Asker, response: Response) -> AccessRequestView:
    """Ask the admins of your org for a model."""
    row = await service.ask(access, body)
    response.headers["location"] = f"/api/access_request/{row.id}"
    return AccessRequestView.model_validate(row)


@router.get("/access_request", name="access_request.list_own")
async def list_own_requests(access: Asker, query: Annotated[AccessRequestQuery, Query()]) -> Page[AccessRequestView]:
    """List what you have asked for, newest first."""
    repository = AccessRequestRepository(access.uow, replace(access.reach, user_id=access.user_id))
    return await fetch_page(access.uow, repository.all(query.state), access_requests.c.id, query, AccessRequestView)


@router.get("/org/{org}/access_request", name="access_request.list")
async def list_requests_of_org(org: str, access: Approver, query: Annotated[AccessRequestQuery, Query()]) -> Page[AccessRequestView]:
    """List what the people of an org have asked for, newest first."""
    repository = AccessRequestRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    return await fetch_page(access.uow, repository.all(query.state), access_requests.c.id, query, AccessRequestView)


@router.get("/access_request/{access_request_id}", name="access_request.get")
async def get_request(access_request_id: UUID, access: OwnOrAll) -> AccessRequestView:
    """Show a request for access."""
    return AccessRequestView.model_validate(await service.find(access, access_request_id))


@router.post("/access_request/{access_request_id}/approve", name="access_request.approve")
async def approve_request(access_request_id: UUID, access: Approver, body: AnswerBody | None = None) -> AccessRequestView:
    """Approve the model for the org; in effect within a second."""
    return AccessRequestView.model_validate(await service.approve(access, access_request_id, body.answer if body else None))


@router.post("/access_request/{access_request_id}/reject", name="access_request.reject")
async def reject_request(access_request_id: UUID, body: RefusalBody, access: Approver) -> AccessRequestView:
    """Say no, and why."""
    return AccessRequestView.model_validate(await service.reject(access, access_request_id, body.reason))


@router.post("/access_request/{access_request_id}/withdraw", name="access_request.withdraw")
async def withdraw_request(access_request_id: UUID, access: Asker) -> AccessRequestView:
    """Take back what you have asked for."""
    return AccessRequestView.model_validate(await service.withdraw(access, access_request_id))
