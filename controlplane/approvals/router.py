"""Routes of approvals, for the admins of an org and for System Admins."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from controlplane.approvals import service
from controlplane.approvals.repository import ApprovalRepository
from controlplane.approvals.rules import Verb
from controlplane.approvals.schemas import ApprovalQuery, ApprovalView, DecisionBody, DecisionView, NewRuleBody, RuleView
from controlplane.approvals.tables import approval_rules
from controlplane.authorization import Access, require
from controlplane.catalog.tables import catalog_models
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, PageQuery, fetch_page
from ias.roles import Permission

router = Router(tags=["approvals"])
Approver = Annotated[Access, require(Permission.MODELS_APPROVE)]


@router.get("/org/{org}/approval", name="approval.list")
async def list_approvals(org: str, access: Approver, query: Annotated[ApprovalQuery, Query()]) -> Page[ApprovalView]:
    """List the models of the catalog with what an org has decided of each, the newest first; `state=pending` is what waits for a decision."""
    repository = ApprovalRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    statement = repository.models(state=query.state, backend=query.backend, name=query.name)
    return await fetch_page(access.uow, statement, catalog_models.c.id, query, ApprovalView)


@router.post("/org/{org}/approval/approve", name="approval.approve")
async def approve(org: str, body: DecisionBody, access: Approver) -> DecisionView:
    """Approve models that are pending, or that were rejected."""
    return await service.decide(access, (await find_org(access, org)).id, Verb.APPROVE, body)


@router.post("/org/{org}/approval/reject", name="approval.reject")
async def reject(org: str, body: DecisionBody, access: Approver) -> DecisionView:
    """Reject models that are pending."""
    return await service.decide(access, (await find_org(access, org)).id, Verb.REJECT, body)


@router.post("/org/{org}/approval/revoke", name="approval.revoke")
async def revoke(org: str, body: DecisionBody, access: Approver) -> DecisionView:
    """Take approved models away within a second. Answers that are running end normally."""
    return await service.decide(access, (await find_org(access, org)).id, Verb.REVOKE, body)


@router.post("/org/{org}/approval/reinstate", name="approval.reinstate")
async def reinstate(org: str, body: DecisionBody, access: Approver) -> DecisionView:
    """Approve models again that were revoked."""
    return await service.decide(access, (await find_org(access, org)).id, Verb.REINSTATE, body)


@router.get("/org/{org}/approval_rule", name="approval_rule.list")
async def list_rules(org: str, access: Approver, query: Annotated[PageQuery, Query()]) -> Page[RuleView]:
    """List the rules by which models are approved without anybody being asked, the newest first."""
    repository = ApprovalRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    return await fetch_page(access.uow, repository.rules(), approval_rules.c.id, query, RuleView)


@router.post("/org/{org}/approval_rule", name="approval_rule.create", status_code=201)
async def add_rule(org: str, body: NewRuleBody, access: Approver, response: Response) -> RuleView:
    """Approve what matches, now and from now on, unless somebody decided otherwise."""
    row = await service.add_rule(access, (await find_org(access, org)).id, body)
    response.headers["location"] = f"/api/org/{org}/approval_rule"
    return RuleView.model_validate(row)


@router.post("/approval_rule/{approval_rule_id}/end", name="approval_rule.end")
async def end_rule(approval_rule_id: UUID, access: Approver) -> RuleView:
    """End a rule. What it has approved stays approved; models that come later are pending."""
    return RuleView.model_validate(await service.end_rule(access, approval_rule_id))
