"""Routes of requests for more."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import BackgroundTasks, Query, Response

from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, fetch_page
from controlplane.quota_requests import letters, service
from controlplane.quota_requests.repository import QuotaRequestRepository
from controlplane.quota_requests.schemas import ApprovalBody, NewQuotaRequestBody, QuotaRequestQuery, QuotaRequestView, RejectionBody
from controlplane.runtime import RuntimeNow
from controlplane.schema import quota_requests
from ias.roles import Permission

router = Router(tags=["quota requests"])
Asker = Annotated[Access, require(Permission.KEYS_OWN)]
Decider = Annotated[Access, require(Permission.BUDGETS_SET)]
OwnOrAll = Annotated[Access, require(Permission.KEYS_OWN, Permission.BUDGETS_SET)]


@router.post("/quota_request", name="quota_request.create", status_code=201)
async def ask_for_more(body: NewQuotaRequestBody, access: Asker, response: Response) -> QuotaRequestView:
    """Ask for a larger budget or limit: of your org, of yourself, or of one of your keys."""
    row = await service.ask(access, body)
    response.headers["location"] = f"/api/quota_request/{row.id}"
    return QuotaRequestView.model_validate(row)


@router.get("/quota_request", name="quota_request.list_own")
async def list_own_requests(access: Asker, query: Annotated[QuotaRequestQuery, Query()]) -> Page[QuotaRequestView]:
    """List what you have asked for, newest first."""
    repository = QuotaRequestRepository(access.uow, replace(access.reach, user_id=access.user_id))
    return await fetch_page(access.uow, repository.all(query.state), quota_requests.c.id, query, QuotaRequestView)


@router.get("/org/{org}/quota_request", name="quota_request.list")
async def list_requests_of_org(org: str, access: Decider, query: Annotated[QuotaRequestQuery, Query()]) -> Page[QuotaRequestView]:
    """List what the people of an org have asked for, newest first."""
    repository = QuotaRequestRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    return await fetch_page(access.uow, repository.all(query.state), quota_requests.c.id, query, QuotaRequestView)


@router.get("/quota_request/{quota_request_id}", name="quota_request.get")
async def get_request(quota_request_id: UUID, access: OwnOrAll) -> QuotaRequestView:
    """Show a request for more."""
    return QuotaRequestView.model_validate(await service.find(access, quota_request_id))


@router.post("/quota_request/{quota_request_id}/approve", name="quota_request.approve")
async def approve_request(
    quota_request_id: UUID, access: Decider, runtime: RuntimeNow, tasks: BackgroundTasks, body: ApprovalBody | None = None
) -> QuotaRequestView:
    """Grant it, or another amount; in effect within a second, and who asked gets a mail. Limits of an org are for a System Admin to grant."""
    row = await service.approve(access, quota_request_id, body or ApprovalBody())
    tasks.add_task(letters.tell, runtime, access.reach, row)
    return QuotaRequestView.model_validate(row)


@router.post("/quota_request/{quota_request_id}/reject", name="quota_request.reject")
async def reject_request(
    quota_request_id: UUID, body: RejectionBody, access: Decider, runtime: RuntimeNow, tasks: BackgroundTasks
) -> QuotaRequestView:
    """Say no, and why; who asked gets a mail."""
    row = await service.reject(access, quota_request_id, body.reason)
    tasks.add_task(letters.tell, runtime, access.reach, row)
    return QuotaRequestView.model_validate(row)


@router.post("/quota_request/{quota_request_id}/withdraw", name="quota_request.withdraw")
async def withdraw_request(quota_request_id: UUID, access: Asker) -> QuotaRequestView:
    """Take back what you have asked for."""
    return QuotaRequestView.model_validate(await service.withdraw(access, quota_request_id))
