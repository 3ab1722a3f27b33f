"""What happens to orgs."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.orgs.repository import OrgRepository
from controlplane.orgs.rules import is_slug, slug_of
from controlplane.orgs.schemas import NewOrgBody
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


async def create(access: Access, body: NewOrgBody) -> Row[Any]:
    """Make an org."""
    if (slug := body.slug or slug_of(body.name)) is None:
        raise Problem(422, "invalid_request", "slug: no slug can be derived from this name, give one.")
    if _uuid(slug) is not None:
        raise Problem(422, "invalid_request", "slug: must not look like an id.")
    org = await OrgRepository(access.uow, access.reach).add(new_id(), slug, body.name)
    access.uow.changed(ChangeKind.ORG, org.id)
    access.uow.audit(org_id=org.id, target_org_id=str(org.id))
    return org


async def delete(access: Access, reference: str) -> None:
    """Leave a tombstone; the org's users and keys stop at once. One change row tells it all: readers know the org of each key."""
    org = await find(access, reference)
    reach = access.reach.within(org.id)
    await KeyRepository(access.uow, reach).revoke_all()
    await AccountRepository(access.uow, reach).bury_all_of(org.id)
    await OrgRepository(access.uow, reach).bury(org.id)
    access.uow.changed(ChangeKind.ORG, org.id)
    access.uow.audit(org_id=org.id, target_org_id=str(org.id))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
