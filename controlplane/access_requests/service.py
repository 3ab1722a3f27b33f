"""What happens to requests for access. An approval approves the model for the org, in the same transaction."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.access_requests.repository import AccessRequestRepository
from controlplane.access_requests.schemas import NewAccessRequestBody
from controlplane.accounts.repository import AccountRepository
from controlplane.approvals import rules as approvals
from controlplane.approvals.repository import ApprovalRepository
from controlplane.approvals.rules import Verb
from controlplane.approvals.service import model_not_found, name_of, write
from controlplane.authorization import Access
from controlplane.catalog.tables import catalog_models
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.orgs.repository import OrgRepository
from controlplane.quota_requests.rules import LIFETIME, MOST_OPEN, State, check_move, state_at
from controlplane.repository import Reach


async def ask(access: Access, body: NewAccessRequestBody) -> Row[Any]:
    """Ask for a model; raise Problem 404, or 409 when it can be used already or was asked for already."""
    org_id = access.principal.org_id
    assert org_id is not None, "the matrix gives nobody without an org this permission"
    row = (await ApprovalRepository(access.uow, Reach(org_id)).named([body.model])).get(body.model)
    if row is None:
        raise model_not_found(body.model)
    if row.state == approvals.State.APPROVED:
        raise Problem(409, "already_approved", f"Your org may use the model '{body.model}' already.")
    repository = AccessRequestRepository(access.uow, access.reach)
    await AccountRepository(access.uow, access.reach).lock(access.user_id)
    if await repository.count_open(access.user_id) >= MOST_OPEN:
        raise Problem(409, "too_many_open_requests", f"You have {MOST_OPEN} open requests, which is the limit: withdraw one first.")
    request_id = new_id()
    values = {"id": request_id, "org_id": org_id, "user_id": access.user_id, "catalog_model_id": row.id, "reason": body.reason}
    await repository.add({**values, "expires_at": datetime.now(UTC) + LIFETIME})
    access.uow.audit(access_request_id=str(request_id), model=name_of(row))
    return await find(access, request_id)


async def approve(access: Access, access_request_id: UUID, answer: str | None) -> Row[Any]:
    """Approve the model for the org; one that is approved by now stays so. Raises Problem 404 or 409."""
    row = await _lock(access, access_request_id, State.APPROVED)
    reach = access.reach.within(row.org_id)
    await OrgRepository(access.uow, access.reach).locked(row.org_id)
    repository = ApprovalRepository(access.uow, reach)
    model = (await access.uow.execute(repository.models().where(catalog_models.c.id == row.catalog_model_id))).one_or_none()
    if model is None:
        raise Problem(409, "model_gone", "The backend of this model is gone: reject the request.")
    before = approvals.State(model.state)
    for verb in (Verb.APPROVE, Verb.REINSTATE):  # whoever grants a request means it, whatever was decided before
        if (state := approvals.after(before, verb)) is not None:
            await write(access, repository, row.org_id, [model.id], state, answer or row.reason)
    await AccessRequestRepository(access.uow, access.reach).end(row.id, State.APPROVED, datetime.now(UTC), decided_by=access.user_id, answer=answer)
    access.uow.audit(org_id=row.org_id, access_request_id=str(row.id), model=name_of(model), state_before=before)
    return await find(access, row.id)


async def reject(access: Access, access_request_id: UUID, reason: str) -> Row[Any]:
    """Say no, and why. What was decided of the model stays."""
    row = await _lock(access, access_request_id, State.REJECTED)
    await AccessRequestRepository(access.uow, access.reach).end(row.id, State.REJECTED, datetime.now(UTC), decided_by=access.user_id, answer=reason)
    access.uow.audit(org_id=row.org_id, access_request_id=str(row.id))
    return await find(access, row.id)


async def withdraw(access: Access, access_request_id: UUID) -> Row[Any]:
    """Take an own request back."""
    row = await _lock(access, access_request_id, State.WITHDRAWN)
    await AccessRequestRepository(access.uow, access.reach).end(row.id, State.WITHDRAWN, datetime.now(UTC))
    access.uow.audit(access_request_id=str(row.id))
    return await find(access, row.id)


async def find(access: Access, access_request_id: UUID) -> Row[Any]:
    """Return a request within the reach; raise Problem 404."""
    if (row := await AccessRequestRepository(access.uow, access.reach).by_id(access_request_id)) is None:
        raise errors.not_found("access request")
    return row


async def _lock(access: Access, access_request_id: UUID, to: State) -> Row[Any]:
    if (row := await AccessRequestRepository(access.uow, access.reach).lock(access_request_id)) is None:
        raise errors.not_found("access request")
    check_move(state_at(State(row.state), row.expires_at, datetime.now(UTC)), to)
    return row
