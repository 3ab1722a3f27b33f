"""Routes of orgs."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from sqlalchemy import Row

from controlplane.authorization import Access, require
from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.orgs import service
from controlplane.orgs.repository import OrgRepository
from controlplane.orgs.schemas import NewOrgBody, OrgBody, OrgView
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import orgs
from ias.roles import Permission

router = Router(tags=["orgs"])
OrgManager = Annotated[Access, require(Permission.ORGS_MANAGE)]
OrgReader = Annotated[Access, require(Permission.ORG_USAGE_VIEW)]


@router.post("/org", name="org.create", status_code=201)
async def create_org(body: NewOrgBody, access: OrgManager, runtime: RuntimeNow, response: Response) -> OrgView:
    """Make an org (System Admin)."""
    org = await service.create(access, body, runtime.new_org_approval)
    response.headers["location"] = f"/api/org/{org.id}"
    return _versioned(org, response)


@router.get("/org", name="org.list")
async def list_orgs(access: OrgReader, page: Annotated[PageQuery, Query()]) -> Page[OrgView]:
    """List the orgs that you may see: all, or your own."""
    return await fetch_page(access.uow, OrgRepository(access.uow, access.reach).living(), orgs.c.id, page, OrgView)


@router.get("/org/{org}", name="org.get")
async def get_org(org: str, access: OrgReader, response: Response) -> OrgView:
    """Show an org, by id or slug."""
    return _versioned(await service.find(access, org), response)


@router.put("/org/{org}", name="org.rename")
async def rename_org(org: str, body: OrgBody, access: OrgManager, response: Response, if_match: IfMatch = None) -> OrgView:
    """Give an org another name (System Admin)."""
    return _versioned(await service.rename(access, await service.find(access, org), body.name, expected_version(if_match)), response)


@router.post("/org/{org}/suspend", name="org.suspend")
async def suspend_org(org: str, access: OrgManager, response: Response) -> OrgView:
    """Suspend an org (System Admin): its keys and sign-ins stop within a second, until it is resumed."""
    return _versioned(await service.suspend(access, await service.find(access, org)), response)


@router.post("/org/{org}/resume", name="org.resume")
async def resume_org(org: str, access: OrgManager, response: Response) -> OrgView:
    """Let a suspended org go on (System Admin)."""
    return _versioned(await service.resume(access, await service.find(access, org)), response)


@router.delete("/org/{org}", name="org.delete", status_code=204)
async def delete_org(
    org: str,
    access: OrgManager,
    runtime: RuntimeNow,
    purge: Annotated[bool, Query(description="Leave no time to restore it; also for an org that waits for its end.")] = False,
) -> None:
    """Delete an org (System Admin). Its users and keys stop at once, it can be restored for a while, and its usage stays for ever."""
    await service.delete(access, await service.find(access, org), timedelta() if purge else runtime.org_grace)


@router.post("/org/{org}/restore", name="org.restore")
async def restore_org(org: str, access: OrgManager, response: Response) -> OrgView:
    """Take the deletion of an org back (System Admin), until its `purgeAt`."""
    return _versioned(await service.restore(access, await service.find(access, org)), response)


def _versioned(org: Row[Any], response: Response) -> OrgView:
    response.headers["etag"] = etag(org.version)
    return OrgView.model_validate(org)
