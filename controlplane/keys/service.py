"""What happens to keys: made, changed, disabled, rotated, revoked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.authorization import Access, reach_of
from controlplane.errors import Problem
from controlplane.etag import check_version
from controlplane.ids import new_id
from controlplane.keys import rules
from controlplane.keys.repository import KeyRepository
from controlplane.keys.rules import KeyRules
from controlplane.keys.schemas import KeyBody, KeyView, NewKeyBody, NewKeyView
from controlplane.repository import Reach
from controlplane.unit_of_work import UnitOfWork
from ias.apikeys import ApiKey, new_key
from ias.gateway_views import ChangeKind
from ias.roles import Permission, Role


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked of a key."""

    name: str
    expires_at: datetime | None = None
    allowed_models: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, object] = field(default_factory=dict)
    """By column; none by default."""
    publication_id: UUID | None = None
    created_by: UUID | None = None


async def create_key(uow: UnitOfWork, org_id: UUID, user_id: UUID, wish: NewKey, key_rules: KeyRules) -> tuple[UUID, ApiKey]:
    """Make a key for a user or a service identity; return its id and, for this once, the key itself. Says nothing to the audit log."""
    key_id = new_id()
    key = {
        "id": key_id,
        "org_id": org_id,
        "user_id": user_id,
        "name": wish.name,
        "expires_at": wish.expires_at,
        "allowed_models": list(wish.allowed_models),
        "labels": dict(wish.labels),
        "publication_id": wish.publication_id,
        "created_by": wish.created_by,
        **wish.limits,
    }
    api_key, credential = _new_credential(uow, key_id, key_rules)
    await KeyRepository(uow, Reach(org_id)).add(key, credential)
    uow.changed(ChangeKind.KEY, key_id)
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


async def rotate_key(repository: KeyRepository, key: Row[Any], overlap: timedelta, key_rules: KeyRules) -> ApiKey:
    """Give a locked key that is not revoked a new secret; those before end after the overlap. Raises Problem 409 for an expired one."""
    now = datetime.now(UTC)
    if rules.status_at(key.status, key.expires_at, now) == "expired":
        raise Problem(409, "key_expired", "The key has expired: give it a later end first.")
    for credential_id, end in rules.after_rotation(await repository.live_credentials(key.id), now, overlap).items():
        await repository.end_credential(credential_id, end if overlap else None)
        repository.uow.changed(ChangeKind.CREDENTIAL, credential_id)
    api_key, credential = _new_credential(repository.uow, key.id, key_rules)
    await repository.add_credential(credential)
    await repository.change(key.id, {})
    return api_key


async def create(access: Access, body: NewKeyBody, key_rules: KeyRules) -> NewKeyView:
    """Make a key for the person who asks, or for a service account of the org that this person administrates."""
    org_id, user_id = access.reach.org_id, body.user_id or access.user_id
    assert org_id is not None, "the matrix gives nobody without an org this permission"
    repository = KeyRepository(access.uow, access.reach)
    await AccountRepository(access.uow, access.reach).lock(user_id)
    if user_id != access.user_id:
        await _check_service(access, repository, user_id)
    if await repository.count_of(user_id) >= key_rules.per_user:
        raise Problem(409, "too_many_keys", f"There are {key_rules.per_user} keys of one user at most: revoke one first.")
    limits = body.rate_limiting.model_dump()
    wish = NewKey(body.name, body.expires_at, body.allowed_models, body.labels, limits, created_by=access.user_id)
    key_id, api_key = await create_key(access.uow, org_id, user_id, wish, key_rules)
    access.uow.audit(key_id=str(key_id))
    return await _shown_once(access, key_id, api_key)


async def find(access: Access, key_id: UUID) -> Row[Any]:
    """Return a key within the reach; raise Problem 404."""
    if (key := await KeyRepository(access.uow, access.reach).by_id(key_id)) is None:
        raise errors.not_found("key")
    return key


async def update(access: Access, key_id: UUID, body: KeyBody, expected: int | None) -> Row[Any]:
    """Write what can be changed of a key; raise Problem 412 when it is not the version that was read."""
    key = await _lock(access, access.reach, key_id)
    check_version(expected, key.version, "key")
    if body.expires_at is not None and body.expires_at != key.expires_at and body.expires_at <= datetime.now(UTC):
        raise errors.invalid_field("expiresAt", "must be in the future")
    return await _changed(access, key, body.model_dump(include=set(KeyBody.model_fields)))


async def disable(access: Access, key_id: UUID) -> Row[Any]:
    """Stop a key until it is enabled again. What an admin has disabled stays the admin's to enable."""
    key = await _lock(access, access.reach, key_id)
    outranked = key.status == "disabled" and access.reach.user_id is not None
    return await _changed(access, key, {"status": "disabled", "disabled_by": key.disabled_by if outranked else access.user_id})


async def enable(access: Access, key_id: UUID) -> Row[Any]:
    """Let a disabled key work again. Raises Problem 403 for the owner of a key that an admin has disabled."""
    key = await _lock(access, access.reach, key_id)
    if access.reach.user_id is not None and key.disabled_by not in {None, access.user_id}:
        raise Problem(403, "disabled_by_admin", "An admin has disabled this key: only an admin can enable it.")
    return await _changed(access, key, {"status": "active", "disabled_by": None})


async def rotate(access: Access, key_id: UUID, overlap: timedelta, key_rules: KeyRules) -> NewKeyView:
    """Give a key a new secret: an own one, or of a service account for who manages the users. A person's key is nobody else's to rotate."""
    reach = access.reach
    if (manager := reach_of(access.principal, (Permission.USERS_MANAGE,))) is not None:
        owner = await KeyRepository(access.uow, manager).role_of_owner(key_id)
        reach = manager if owner == Role.SERVICE else reach
    key = await _lock(access, reach, key_id)
    api_key = await rotate_key(KeyRepository(access.uow, reach), key, overlap, key_rules)
    access.uow.audit(org_id=key.org_id, key_id=str(key_id))
    return await _shown_once(replace(access, reach=reach), key_id, api_key)


async def revoke(access: Access, key_id: UUID) -> None:
    """Revoke a key for good; revoking it again changes nothing."""
    key = await find(access, key_id)
    if key.status != "revoked":
        await revoke_keys(KeyRepository(access.uow, access.reach), [key_id])
    access.uow.audit(org_id=key.org_id, key_id=str(key_id))


def _new_credential(uow: UnitOfWork, key_id: UUID, key_rules: KeyRules) -> tuple[ApiKey, dict[str, object]]:
    """Make the secret of a key and the row that stands for it, and tell the data plane."""
    api_key = new_key(key_rules.env)
    version, pepper = key_rules.current_pepper
    uow.changed(ChangeKind.CREDENTIAL, api_key.credential_id)
    return api_key, {
        "credential_id": api_key.credential_id,
        "key_id": key_id,
        "digest": api_key.digest(pepper),
        "pepper_version": version,
        "hint": api_key.hint,
    }


async def _shown_once(access: Access, key_id: UUID, api_key: ApiKey) -> NewKeyView:
    return NewKeyView(**KeyView.model_validate(await find(access, key_id)).model_dump(), api_key=api_key.text)


async def _lock(access: Access, reach: Reach, key_id: UUID) -> Row[Any]:
    """Hold a key that is not revoked; raise Problem 404 or 409."""
    if (key := await KeyRepository(access.uow, reach).lock(key_id)) is None:
        raise errors.not_found("key")
    if key.status == "revoked":
        raise Problem(409, "key_revoked", "The key is revoked for good: make another one.")
    return key


async def _changed(access: Access, key: Row[Any], values: Mapping[str, object]) -> Row[Any]:
    if any(getattr(key, name) != value for name, value in values.items()):
        await KeyRepository(access.uow, access.reach).change(key.id, values)
        access.uow.changed(ChangeKind.KEY, key.id)
    access.uow.audit(org_id=key.org_id, key_id=str(key.id))
    return await find(access, key.id)


async def _check_service(access: Access, repository: KeyRepository, user_id: UUID) -> None:
    if reach_of(access.principal, (Permission.USERS_MANAGE,)) is None:
        raise errors.forbidden()
    if await repository.role_of(user_id) != Role.SERVICE:
        raise errors.not_found("service account")
