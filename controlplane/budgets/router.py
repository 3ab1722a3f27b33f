"""Routes of budgets: the same for an org, a user and a key, and the ceiling of an org."""

from typing import Annotated

from fastapi import Query, Response

from controlplane.authorization import Access, reach_of, require
from controlplane.budgets import service
from controlplane.budgets.repository import BudgetRepository
from controlplane.budgets.schemas import AlertView, BudgetBody, BudgetList, BudgetView, CeilingBody, IncreaseBody
from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.limits.subject import DOORS, Door, Target, org_target
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.runtime import Runtime, RuntimeNow
from controlplane.schema import budget_alerts
from ias.roles import Permission
from ratelimit.ports import Period

router = Router(tags=["budgets"])
CeilingSetter = Annotated[Target, org_target(Permission.ORGS_MANAGE)]


async def _written(target: Target, period: Period, runtime: Runtime, response: Response) -> BudgetView:
    view, version = await service.written(target, period, runtime.counters)
    response.headers["etag"] = etag(version)
    return view


def _mount(door: Door) -> None:
    path, name = f"{door.path}/budget", f"{door.scope}_budget"
    reader, writer = door.reader(), door.target(*door.budget_writers)

    @router.get(path, name=f"{name}.list")
    async def list_budgets(target: Annotated[Target, reader], runtime: RuntimeNow) -> BudgetList:
        """List the budgets with what is left of them."""
        return BudgetList(items=await service.read(target, runtime.counters))

    @router.get(f"{path}/{{period}}", name=f"{name}.get")
    async def get_budget(period: Period, target: Annotated[Target, reader], runtime: RuntimeNow, response: Response) -> BudgetView:
        """Show a budget: spent, held, free, and when it begins anew."""
        view, version = await service.read_one(target, period, runtime.counters)
        response.headers["etag"] = etag(version)
        return view

    @router.put(f"{path}/{{period}}", name=f"{name}.set")
    async def set_budget(
        period: Period, body: BudgetBody, target: Annotated[Target, writer], runtime: RuntimeNow, response: Response, if_match: IfMatch = None
    ) -> BudgetView:
        """Set a budget. In effect within a second; what was spent in this period counts."""
        await service.put(target, period, body, expected_version(if_match))
        return await _written(target, period, runtime, response)

    @router.delete(f"{path}/{{period}}", name=f"{name}.lift", status_code=204)
    async def lift_budget(period: Period, target: Annotated[Target, writer], if_match: IfMatch = None) -> None:
        """Lift a budget; the ceiling of an org stays."""
        await service.remove(target, period, expected_version(if_match))

    @router.put(f"{path}/{{period}}/increase", name=f"{name}.increase")
    async def increase_budget(
        period: Period, body: IncreaseBody, target: Annotated[Target, writer], runtime: RuntimeNow, response: Response, if_match: IfMatch = None
    ) -> BudgetView:
        """Put tokens on top of a budget until a moment, instead of an increase before."""
        await service.increase(target, period, body, expected_version(if_match))
        return await _written(target, period, runtime, response)

    @router.delete(f"{path}/{{period}}/increase", name=f"{name}.end_increase", status_code=204)
    async def end_increase(period: Period, target: Annotated[Target, writer], if_match: IfMatch = None) -> None:
        """End an increase now."""
        await service.increase(target, period, None, expected_version(if_match))


for _door in DOORS:
    _mount(_door)


@router.put("/org/{org}/budget/{period}/ceiling", name="org_budget.set_ceiling")
async def set_ceiling(
    period: Period, body: CeilingBody, target: CeilingSetter, runtime: RuntimeNow, response: Response, if_match: IfMatch = None
) -> BudgetView:
    """Say what the org's budget may be at most (System Admin). It holds whatever the org sets, and also when the org sets nothing."""
    await service.set_ceiling(target, period, body, expected_version(if_match))
    return await _written(target, period, runtime, response)


@router.delete("/org/{org}/budget/{period}/ceiling", name="org_budget.lift_ceiling", status_code=204)
async def lift_ceiling(period: Period, target: CeilingSetter, if_match: IfMatch = None) -> None:
    """Lift the ceiling (System Admin); the budget that the org has set stays."""
    await service.set_ceiling(target, period, None, expected_version(if_match))


@router.get("/org/{org}/budget_alert", name="budget_alert.list")
async def list_alerts(
    org: str, access: Annotated[Access, require(Permission.ORG_USAGE_VIEW)], page: Annotated[PageQuery, Query()]
) -> Page[AlertView]:
    """List the thresholds that were reached, newest first: to who sets the budgets all, to others those of the org and their own."""
    repository = BudgetRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    of_user = access.user_id if reach_of(access.principal, (Permission.BUDGETS_SET,)) is None else None
    return await fetch_page(access.uow, repository.alerts(of_user), budget_alerts.c.id, page, AlertView)
