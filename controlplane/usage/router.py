"""Routes of analytics."""

from typing import Annotated

from fastapi import Path, Query

from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.usage import service
from controlplane.usage.schemas import OrgUsageView, PeriodQuery, RequestId, RequestList, SeriesQuery, SeriesView, SystemUsageView
from ias.roles import Permission

router = Router(tags=["usage"])
UsageReader = Annotated[Access, require(Permission.ORG_USAGE_VIEW)]


@router.get("/analytics/org/{org}", name="usage.org")
async def org_usage(org: str, access: UsageReader, period: Annotated[PeriodQuery, Query()]) -> OrgUsageView:
    """Sum up an org's usage by model, user, key and outcome."""
    reach = access.reach.within((await find_org(access, org)).id)
    return await service.org_usage(access.uow, reach, period)


@router.get("/analytics/system", name="usage.system")
async def system_usage(access: Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)], period: Annotated[PeriodQuery, Query()]) -> SystemUsageView:
    """Sum up everyone's usage by org, model and outcome (System Admin)."""
    return await service.system_usage(access.uow, access.reach, period)


@router.get("/analytics/org/{org}/series", name="usage.org_series")
async def org_series(org: str, access: UsageReader, query: Annotated[SeriesQuery, Query()]) -> SeriesView:
    """Sum up an org's usage by quarter hour, hour or day."""
    return await service.series(access.uow, access.reach.within((await find_org(access, org)).id), query)


@router.get("/analytics/system/series", name="usage.system_series")
async def system_series(access: Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)], query: Annotated[SeriesQuery, Query()]) -> SeriesView:
    """Sum up everyone's usage by quarter hour, hour or day (System Admin)."""
    return await service.series(access.uow, access.reach, query)


@router.get("/requests/{request_id}", name="usage.request")
async def request_rows(request_id: Annotated[RequestId, Path()], access: UsageReader) -> RequestList:
    """Show what the ledger has of a request, by the `x-request-id` of its answer."""
    return await service.request_rows(access.uow, access.reach, request_id)
