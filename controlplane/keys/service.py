"""What happens to keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.keys.rules import KeyRules
from controlplane.keys.schemas import KeyView, NewKeyBody, NewKeyView
from controlplane.repository import Reach
from controlplane.unit_of_work import UnitOfWork
from ias.apikeys import ApiKey, new_key
from ias.gateway_views import ChangeKind


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked of a key."""

    name: str
    expires_at: datetime | None = None
    allowed_models: Sequence[str] = ()
    limits: Mapping[str, object] = field(default_factory=dict)
    """By column; none by default."""
    publication_id: UUID | None = None
    created_by: UUID | None = None


async def create_key(uow: UnitOfWork, org_id: UUID, user_id: UUID, wish: NewKey, rules: KeyRules) -> tuple[UUID, ApiKey]:
    """Make a key for a user or a service identity; return its id and, for this once, the key itself. Says nothing to the audit log."""
    api_key, key_id = new_key(rules.env), new_id()
    version, pepper = rules.current_pepper
    key = {
        "id": key_id,
        "org_id": org_id,
        "user_id": user_id,
        "name": wish.name,
        "expires_at": wish.expires_at,
        "allowed_models": list(wish.allowed_models),
        "publication_id": wish.publication_id,
        "created_by": wish.created_by,
        **wish.limits,
    }
    credential = {
        "credential_id": api_key.credential_id,
        "key_id": key_id,
        "digest": api_key.digest(pepper),
        "pepper_version": version,
        "hint": api_key.hint,
    }
    await KeyRepository(uow, Reach(org_id)).add(key, credential)
    uow.changed(ChangeKind.KEY, key_id)
    uow.changed(ChangeKind.CREDENTIAL, api_key.credential_id)
    return key_id, api_key


async def revoke_keys(repository: KeyRepository, key_ids: Sequence[UUID]) -> None:
    """Revoke keys for good and tell the data plane; those that were revoked before stay as they are."""
    for credential_id in await repository.revoke(key_ids):
        repository.uow.changed(ChangeKind.CREDENTIAL, credential_id)
    for key_id in key_ids:
        repository.uow.changed(ChangeKind.KEY, key_id)


async def revoke_all(repository: KeyRepository, user_id: UUID) -> None:
    """Revoke all keys of a user."""
    await revoke_keys(repository, await repository.living_of(user_id))


async def create_own(access: Access, body: NewKeyBody, rules: KeyRules) -> NewKeyView:
    """Make a key for the person who asks."""
    org_id = access.reach.org_id
    assert org_id is not None, "the matrix gives nobody without an org this permission"
    repository = KeyRepository(access.uow, access.reach)
    await AccountRepository(access.uow, access.reach).lock(access.user_id)
    if await repository.count_of(access.user_id) >= rules.per_user:
        raise Problem(409, "too_many_keys", f"You have {rules.per_user} keys, which is the limit: revoke one first.")
    wish = NewKey(body.name, body.expires_at, body.allowed_models, body.rate_limiting.model_dump(), created_by=access.user_id)
    key_id, api_key = await create_key(access.uow, org_id, access.user_id, wish, rules)
    access.uow.audit(key_id=str(key_id))
    return NewKeyView(**KeyView.model_validate(await find(access, key_id)).model_dump(), api_key=api_key.text)


async def find(access: Access, key_id: UUID) -> Row[Any]:
    """Return a key within the reach; raise Problem 404."""
    if (key := await KeyRepository(access.uow, access.reach).by_id(key_id)) is None:
        raise errors.not_found("key")
    return key


async def revoke(access: Access, key_id: UUID) -> None:
    """Revoke a key for good; revoking it again changes nothing."""
    key = await find(access, key_id)
    if key.status != "revoked":
        await revoke_keys(KeyRepository(access.uow, access.reach), [key_id])
    access.uow.audit(org_id=key.org_id, key_id=str(key_id))
