"""Routes of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from controlplane.audit.repository import AuditRepository
from controlplane.audit.schemas import AuditView
from controlplane.authorization import Access, require
from controlplane.orgs.service import find
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.schema import audit_log
from ias.roles import Permission

router = APIRouter(tags=["audit"])


@router.get("/org/{org}/audit_log", name="audit.list")
async def list_audit_log(org: str, access: Annotated[Access, require(Permission.AUDIT_VIEW)], page: Annotated[PageQuery, Query()]) -> Page[AuditView]:
    """List the writes that concern an org, newest first."""
    repository = AuditRepository(access.uow, access.reach.within((await find(access, org)).id))
    return await fetch_page(access.uow, repository.entries(), audit_log.c.id, page, AuditView)
