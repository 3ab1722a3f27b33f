"""Routes of the audit log."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import Query, Request

from controlplane.audit.actions import actions_of
from controlplane.audit.repository import AuditRepository
from controlplane.audit.schemas import ActionList, ActionView, AuditFilter, AuditQuery, AuditView
from controlplane.authorization import Access, require
from controlplane.export import CsvResponse, walk
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find
from controlplane.pagination import Page, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import audit_log
from ias.roles import Permission

router = Router(tags=["audit"])
Reader = Annotated[Access, require(Permission.AUDIT_VIEW)]
SystemReader = Annotated[Access, require(Permission.SYSTEM_USAGE_VIEW)]

_HEADER = (
    *("timestamp", "id", "org_id", "user_id_performing_action", "actor", "action_type", "outcome", "targets", "payload"),
    *("request_id", "client_address"),
)


@router.get("/org/{org}/audit_log", name="audit.list")
async def list_audit_log(org: str, access: Reader, query: Annotated[AuditQuery, Query()]) -> Page[AuditView]:
    """List the writes that concern an org, newest first."""
    return await fetch_page(access.uow, (await _of_org(access, org)).entries(query.sought()), audit_log.c.id, query, AuditView)


@router.get("/org/{org}/audit_log.csv", name="audit.export", response_class=CsvResponse)
async def export_audit_log(org: str, access: Reader, sought: Annotated[AuditFilter, Query()], runtime: RuntimeNow) -> CsvResponse:
    """Export the writes that concern an org as CSV, newest first."""
    return _csv(runtime, await _of_org(access, org), sought)


@router.get("/audit_log", name="audit.list_all")
async def list_all_audit_log(access: SystemReader, query: Annotated[AuditQuery, Query()]) -> Page[AuditView]:
    """List everybody's writes, newest first (System Admin)."""
    return await fetch_page(access.uow, AuditRepository(access.uow, access.reach).entries(query.sought()), audit_log.c.id, query, AuditView)


@router.get("/audit_log.csv", name="audit.export_all", response_class=CsvResponse)
async def export_all_audit_log(access: SystemReader, sought: Annotated[AuditFilter, Query()], runtime: RuntimeNow) -> CsvResponse:
    """Export everybody's writes as CSV, newest first (System Admin)."""
    return _csv(runtime, AuditRepository(access.uow, access.reach), sought)


@router.get("/audit_actions", name="audit.actions")
async def list_actions(_: Reader, request: Request) -> ActionList:
    """List the vocabulary: every action that the audit log knows."""
    return ActionList(items=[ActionView(action=action, summary=summary) for action, summary in actions_of(request.app).items()])


async def _of_org(access: Access, org: str) -> AuditRepository:
    return AuditRepository(access.uow, access.reach.within((await find(access, org)).id))


def _csv(runtime: RuntimeNow, repository: AuditRepository, sought: AuditFilter) -> CsvResponse:
    async def pages() -> AsyncIterator[Sequence[Sequence[object]]]:
        async for rows in walk(runtime.engine, repository.entries(sought.sought()), audit_log.c.id):
            yield [[_cell(getattr(row, name)) for name in _HEADER] for row in rows]

    return CsvResponse.of("audit_log", _HEADER, pages())


def _cell(value: Any) -> object:
    match value:
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return " ".join(value)
    return value
