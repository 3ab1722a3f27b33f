"""Routes of security events."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import Query

from controlplane.authorization import Access, require
from controlplane.export import CsvResponse, walk
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find
from controlplane.pagination import Page, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import security_events
from controlplane.security_events.repository import SecurityEventRepository
from controlplane.security_events.schemas import SecurityEventFilter, SecurityEventQuery, SecurityEventView, Summary, SummaryQuery
from ias.roles import Permission

router = Router(tags=["audit"])
Reader = Annotated[Access, require(Permission.AUDIT_VIEW)]
SystemReader = Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)]

_HEADER = ("minute", "status", "code", "org_id", "credential", "address", "overflow", "requests", "id")


@router.get("/org/{org}/security_events", name="security_event.list")
async def list_security_events(org: str, access: Reader, query: Annotated[SecurityEventQuery, Query()]) -> Page[SecurityEventView]:
    """List what the gateway refused to an org's keys, newest first."""
    return await _page(access, await _of_org(access, org), query)


@router.get("/org/{org}/security_events.csv", name="security_event.export", response_class=CsvResponse)
async def export_security_events(org: str, access: Reader, wanted: Annotated[SecurityEventFilter, Query()], runtime: RuntimeNow) -> CsvResponse:
    """Export what the gateway refused to an org's keys as CSV, newest first."""
    return _csv(runtime, await _of_org(access, org), wanted)


@router.get("/org/{org}/security_events/summary", name="security_event.summary")
async def summarize_security_events(org: str, access: Reader, query: Annotated[SummaryQuery, Query()]) -> Summary:
    """Count what the gateway refused to an org's keys, by reason, key or network."""
    return await _summary(await _of_org(access, org), query)


@router.get("/security_events", name="security_event.list_all")
async def list_all_security_events(access: SystemReader, query: Annotated[SecurityEventQuery, Query()]) -> Page[SecurityEventView]:
    """List what the gateway refused to anybody, newest first; those of unknown keys too (System Admin)."""
    return await _page(access, SecurityEventRepository(access.uow, access.reach), query)


@router.get("/security_events.csv", name="security_event.export_all", response_class=CsvResponse)
async def export_all_security_events(access: SystemReader, wanted: Annotated[SecurityEventFilter, Query()], runtime: RuntimeNow) -> CsvResponse:
    """Export what the gateway refused to anybody as CSV, newest first (System Admin)."""
    return _csv(runtime, SecurityEventRepository(access.uow, access.reach), wanted)


@router.get("/security_events/summary", name="security_event.summary_all")
async def summarize_all_security_events(access: SystemReader, query: Annotated[SummaryQuery, Query()]) -> Summary:
    """Count what the gateway refused to anybody, by reason, key, network or org (System Admin)."""
    return await _summary(SecurityEventRepository(access.uow, access.reach), query)


async def _of_org(access: Access, org: str) -> SecurityEventRepository:
    return SecurityEventRepository(access.uow, access.reach.within((await find(access, org)).id))


async def _page(access: Access, repository: SecurityEventRepository, query: SecurityEventQuery) -> Page[SecurityEventView]:
    return await fetch_page(access.uow, repository.entries(query.sought()), security_events.c.id, query, SecurityEventView)


async def _summary(repository: SecurityEventRepository, query: SummaryQuery) -> Summary:
    requests, groups = await repository.counts(query.sought(), query.by, query.top)
    return Summary.model_validate({"by": query.by, "requests": requests, "items": groups})


def _csv(runtime: RuntimeNow, repository: SecurityEventRepository, wanted: SecurityEventFilter) -> CsvResponse:
    async def pages() -> AsyncIterator[Sequence[Sequence[object]]]:
        async for rows in walk(runtime.engine, repository.entries(wanted.sought()), security_events.c.id):
            yield [[getattr(row, name) for name in _HEADER] for row in rows]

    return CsvResponse.of("security_events", _HEADER, pages())
