"""What an org may publish: how many models, and at which hostnames."""

from uuid import UUID

from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.orgs.service import find as find_org
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.schemas import Allowance, AllowanceView


async def check_quota(repository: PublicationRepository, org_id: UUID, by_default: int) -> None:
    """Raise Problem when an org has as many publications as it may."""
    allowed, used = await repository.quota_of(org_id)
    if used >= (most := by_default if allowed is None else allowed):
        raise Problem(409, "TOO_MANY_PUBLICATIONS", f"The tenant has {used} published models of at most {most}. Unpublish one, or raise the number.")


async def show(access: Access, org: str, by_default: int) -> AllowanceView:
    """Show what an org may publish, and how much of it is used; raise Problem 404."""
    found = await find_org(access, org)
    repository = PublicationRepository(access.uow, access.reach)
    allowed, used = await repository.quota_of(found.id)
    hostnames = await repository.hostnames_of(found.id)
    return AllowanceView(
        max_publications=allowed, hostnames=hostnames, publications=used, effective_max_publications=by_default if allowed is None else allowed
    )


async def allow(access: Access, org: str, wanted: Allowance, by_default: int) -> AllowanceView:
    """Set what an org may publish. What is published already stays, whatever the new numbers and names are."""
    found = await find_org(access, org)
    await PublicationRepository(access.uow, access.reach).allow(found.id, wanted.max_publications, wanted.hostnames)
    access.uow.audit(org_id=found.id, target_org_id=str(found.id))
    return await show(access, org, by_default)
