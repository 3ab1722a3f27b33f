"""Routes of security events."""

from typing import Annotated

from fastapi import Query

from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.schema import security_events
from controlplane.security_events.repository import SecurityEventRepository
from controlplane.security_events.schemas import SecurityEventView
from ias.roles import Permission

router = Router(tags=["audit"])


@router.get("/org/{org}/security_events", name="security_event.list")
async def list_security_events(
    org: str, access: Annotated[Access, require(Permission.AUDIT_VIEW)], page: Annotated[PageQuery, Query()]
) -> Page[SecurityEventView]:
    """List what the gateway refused to an org's keys, newest first."""
    repository = SecurityEventRepository(access.uow, access.reach.within((await find(access, org)).id))
    return await fetch_page(access.uow, repository.entries(), security_events.c.id, page, SecurityEventView)


@router.get("/security_events", name="security_event.list_all")
async def list_all_security_events(
    access: Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)], page: Annotated[PageQuery, Query()]
) -> Page[SecurityEventView]:
    """List what the gateway refused to anybody, newest first; those of unknown keys too (System Admin)."""
    repository = SecurityEventRepository(access.uow, access.reach)
    return await fetch_page(access.uow, repository.entries(), security_events.c.id, page, SecurityEventView)
