"""Revoking many keys of an org at once: first one sees which, then exactly these are revoked."""

from uuid import UUID

from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.keys.repository import KeyRepository
from controlplane.keys.rules import confirmation
from controlplane.keys.schemas import BulkRevokeBody, BulkRevokeView, KeyView
from controlplane.keys.service import revoke_keys

MOST_AT_ONCE = 100
"""As many as one row of the audit log can name."""


async def revoke(access: Access, org_id: UUID, body: BulkRevokeBody) -> BulkRevokeView:
    """Revoke the keys that a filter means, or say which they are. Raises Problem 409 when they are not those that were confirmed."""
    repository = KeyRepository(access.uow, access.reach.within(org_id))
    rows, total = await repository.oldest_unrevoked(body.filter, MOST_AT_ONCE)
    key_ids = [row.id for row in rows]
    confirm = confirmation(key_ids)
    if not body.dry_run:
        if body.confirm != confirm:
            raise Problem(409, "other_keys_match", "By now the filter means other keys than the dry run has shown: make another dry run.")
        await revoke_keys(repository, key_ids)
        rows = await repository.with_ids(key_ids)
    access.uow.audit(org_id=org_id, count=len(key_ids), key_ids=[str(key_id) for key_id in key_ids])
    views = [KeyView.model_validate(row) for row in rows]
    return BulkRevokeView(dry_run=body.dry_run, keys=views, count=len(views), remaining=total - len(views), confirm=confirm)
