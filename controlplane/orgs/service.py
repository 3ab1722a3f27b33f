"""What happens to orgs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.approvals.repository import ApprovalRepository
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.etag import check_version
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.orgs.repository import OrgRepository
from controlplane.orgs.rules import WAYS_OUT, NewOrgApproval, Step, after, is_slug, slug_of
from controlplane.orgs.schemas import NewOrgBody
from controlplane.repository import Reach
from controlplane.unit_of_work import UnitOfWork
from ias.gateway_views import ChangeKind


async def find(access: Access, reference: str) -> Row[Any]:
    """Return the org that an id or a slug names, within the reach; raise Problem 404."""
    repository = OrgRepository(access.uow, access.reach)
    org = None
    if (org_id := _uuid(reference)) is not None:
        org = await repository.by_id(org_id)
    elif is_slug(reference):
        org = await repository.by_slug(reference)
    if org is None:
        raise errors.not_found("org")
    return org


async def create(access: Access, body: NewOrgBody, approval: NewOrgApproval) -> Row[Any]:
    """Make an org. By itself it approves all models of all backends; where approval is manual it begins with nothing."""
    if (slug := body.slug or slug_of(body.name)) is None:
        raise Problem(422, "invalid_request", "slug: no slug can be derived from this name, give one.")
    if _uuid(slug) is not None:
        raise Problem(422, "invalid_request", "slug: must not look like an id.")
    org = await OrgRepository(access.uow, access.reach).add(new_id(), slug, body.name)
    if approval == "manual":
        await ApprovalRepository(access.uow, Reach(org.id)).forget_rules()
    access.uow.changed(ChangeKind.ORG, org.id)
    access.uow.audit(org_id=org.id, target_org_id=str(org.id))
    return org


async def rename(access: Access, org: Row[Any], name: str, expected: int | None) -> Row[Any]:
    """Give an org another name; its slug stays. Raises Problem 412 when it is not at the expected version."""
    repository = OrgRepository(access.uow, access.reach.within(org.id))
    check_version(expected, (await repository.locked(org.id)).version, "org")
    access.uow.audit(org_id=org.id, target_org_id=str(org.id), name_before=org.name)
    return await repository.change(org.id, name=name)


async def suspend(access: Access, org: Row[Any]) -> Row[Any]:
    """Stop an org's keys and sign-ins within a second; nothing is lost. Suspending twice changes nothing."""
    return await _move(access, org, "suspend")


async def resume(access: Access, org: Row[Any]) -> Row[Any]:
    """Let a suspended org go on."""
    return await _move(access, org, "resume")


async def restore(access: Access, org: Row[Any]) -> Row[Any]:
    """Take the deletion of an org back: people, keys and all else are as before."""
    return await _move(access, org, "restore")


async def delete(access: Access, org: Row[Any], grace: timedelta) -> None:
    """Stop an org at once; it is gone for good after the time of grace. One that waits for that already keeps its date."""
    if not grace:
        await purge(access.uow, org.id)
        access.uow.audit(org_id=org.id, target_org_id=str(org.id))
    else:
        await _move(access, org, "delete", purge_at=datetime.now(UTC) + grace)


async def purge(uow: UnitOfWork, org_id: UUID) -> None:
    """Leave a tombstone of an org, its users and keys, so that their names are free again; usage and audit log stay.

    One change row tells it all: readers know the org of each key.
    """
    reach = Reach(org_id)
    await KeyRepository(uow, reach).revoke_all()
    await AccountRepository(uow, reach).bury_all_of(org_id)
    await OrgRepository(uow, reach).change(org_id, status="deleted", purge_at=None)
    uow.changed(ChangeKind.ORG, org_id)


async def _move(access: Access, org: Row[Any], step: Step, **values: object) -> Row[Any]:
    """Take a step of an org's life; raise Problem 409 when its state does not allow it."""
    repository = OrgRepository(access.uow, access.reach.within(org.id))
    current = await repository.locked(org.id)
    access.uow.audit(org_id=org.id, target_org_id=str(org.id), status_before=current.status)
    status = after(step, current.status)
    if status is None:
        raise Problem(409, "wrong_org_status", f"The org is {current.status}: {WAYS_OUT[current.status]}")
    if status == current.status:
        return current
    access.uow.changed(ChangeKind.ORG, org.id)
    return await repository.change(org.id, **{"status": status, "purge_at": None} | values)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
