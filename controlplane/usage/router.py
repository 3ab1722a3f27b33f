"""Routes of analytics: the same questions of the own usage, of an org's and of everybody's."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query

from controlplane.authorization import Access, require
from controlplane.export import CsvResponse
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.repository import Reach
from controlplane.usage import service
from controlplane.usage.schemas import (
    OrgUsageView,
    OwnUsageView,
    ReportQuery,
    SeriesQuery,
    SeriesView,
    SystemUsageView,
    TopQuery,
    TopView,
    UsageQuery,
    UsageView,
)
from controlplane.usage.service import Span
from ias.roles import Permission

router = Router(tags=["usage"])
Reader = Annotated[Access, require(Permission.ORG_USAGE_VIEW)]


async def own(access: Reader) -> Span:
    """What the person who asks has used."""
    return Span(access.uow, Reach(access.principal.org_id, access.user_id))


async def of_org(org: str, access: Reader) -> Span:
    """What an org within the reach has used."""
    return Span(access.uow, access.reach.within((await find_org(access, org)).id))


async def of_system(access: Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)]) -> Span:
    """What everybody has used."""
    return Span(access.uow, access.reach)


def add_routes(scope: str, path: str, span_of: Any, view: type[UsageView], whose: str) -> None:
    """Add the routes of one scope."""
    spanning = Depends(span_of, scope="function")

    @router.get(path, name=f"usage.{scope}", response_model=view, description=f"Sum up {whose} usage, with breakdowns, error rate and latency.")
    async def usage(span: Annotated[Span, spanning], query: Annotated[UsageQuery, Query()]) -> Any:
        return await service.usage(span, query, view)

    @router.get(f"{path}/series", name=f"usage.{scope}_series", description=f"Sum up {whose} usage by quarter hour, hour or day.")
    async def series(span: Annotated[Span, spanning], query: Annotated[SeriesQuery, Query()]) -> SeriesView:
        return await service.series(span, query)

    @router.get(f"{path}/top", name=f"usage.{scope}_top", description=f"Tell whose part of {whose} usage is the greatest.")
    async def top(span: Annotated[Span, spanning], query: Annotated[TopQuery, Query()]) -> TopView:
        return await service.top(span, query)

    @router.get(
        f"{path}/report.csv",
        name=f"usage.{scope}_report",
        response_class=CsvResponse,
        description=f"Report {whose} usage as CSV, a row for each interval and combination of dimensions asked for.",
    )
    async def report(span: Annotated[Span, spanning], query: Annotated[ReportQuery, Query()]) -> CsvResponse:
        head, rows = await service.report(span, query)

        async def pages() -> AsyncIterator[Sequence[Sequence[object]]]:
            yield rows

        return CsvResponse.of("usage", head, pages())


add_routes("own", "/analytics/own", own, OwnUsageView, "your own")
add_routes("org", "/analytics/org/{org}", of_org, OrgUsageView, "an org's")
add_routes("system", "/analytics/system", of_system, SystemUsageView, "everybody's")
