"""Routes of orgs."""

from typing import Annotated

from fastapi import Query, Response

from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs import service
from controlplane.orgs.repository import OrgRepository
from controlplane.orgs.schemas import NewOrgBody, OrgView
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.schema import orgs
from ias.roles import Permission

router = Router(tags=["orgs"])
OrgManager = Annotated[Access, require(Permission.ORGS_MANAGE)]
OrgReader = Annotated[Access, require(Permission.ORG_USAGE_VIEW)]


@router.post("/org", name="org.create", status_code=201)
async def create_org(body: NewOrgBody, access: OrgManager, response: Response) -> OrgView:
    """Make an org (System Admin)."""
    org = await service.create(access, body)
    response.headers["location"] = f"/api/org/{org.id}"
    return OrgView.model_validate(org)


@router.get("/org", name="org.list")
async def list_orgs(access: OrgReader, page: Annotated[PageQuery, Query()]) -> Page[OrgView]:
    """List the orgs that you may see: all, or your own."""
    return await fetch_page(access.uow, OrgRepository(access.uow, access.reach).living(), orgs.c.id, page, OrgView)


@router.get("/org/{org}", name="org.get")
async def get_org(org: str, access: OrgReader) -> OrgView:
    """Show an org, by id or slug."""
    return OrgView.model_validate(await service.find(access, org))


@router.delete("/org/{org}", name="org.delete", status_code=204)
async def delete_org(org: str, access: OrgManager) -> None:
    """Delete an org (System Admin); its users and keys stop at once, its usage stays."""
    await service.delete(access, org)
