"""Finds the orgs that a publication names."""

from collections.abc import Sequence
from uuid import UUID

from controlplane.errors import Problem
from controlplane.publishing.repository import PublicationRepository


async def find_tenants(repository: PublicationRepository, owner: str, allowed: Sequence[str] | None) -> tuple[UUID, set[UUID]]:
    """Return the owner's id and those of all who may call; raise Problem for names that are none."""
    names = {owner, *(allowed or [])}
    found = await repository.orgs_named(names)
    if unknown := sorted(names - found.keys()):
        raise Problem(404, "INVALID_TENANT", f"There is no tenant {', '.join(repr(name) for name in unknown[:5])}. Make it with POST /api/org.")
    tenant_ids = {found[name] for name in allowed or [owner]}
    if found[owner] not in tenant_ids:
        raise Problem(422, "INVALID_TENANT", "authentication.allowedTenants must hold the tenant itself: the publication's key belongs to it.")
    return found[owner], tenant_ids
