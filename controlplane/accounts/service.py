"""What happens to accounts: users of an org, service identities, the first System Admin."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from controlplane import errors
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.accounts.rules import new_password, service_username
from controlplane.accounts.schemas import NewUserBody, NewUserView, UserView
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import revoke_all
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork
from ias.gateway_views import ChangeKind
from ias.roles import Role

_BOOTSTRAP_LOCK = 0x1A5C4A48


async def create_user(access: Access, org_id: UUID, body: NewUserBody, passwords: Passwords) -> NewUserView:
    """Make a user of an org."""
    generated = None if body.password else new_password()
    password = body.password.get_secret_value() if body.password else str(generated)
    await access.uow.checkpoint()
    password_hash = await passwords.hash(password)
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    user = await repository.add(new_id(), org_id, body.username, Role(body.role), password_hash, body.email)
    access.uow.audit(org_id=org_id, target_user_id=str(user.id))
    return NewUserView(**UserView.model_validate(user).model_dump(), initial_password=generated)


async def delete_user(access: Access, org_id: UUID, user_id: UUID) -> None:
    """Leave a tombstone; the user's sessions and keys stop at once."""
    if user_id == access.user_id:
        raise Problem(409, "cannot_delete_yourself", "Nobody can delete the own account: ask another admin.")
    reach = access.reach.within(org_id)
    repository = AccountRepository(access.uow, reach)
    if await repository.person(user_id) is None:
        raise errors.not_found("user")
    await repository.bury(user_id)
    await revoke_all(KeyRepository(access.uow, reach), user_id)
    access.uow.changed(ChangeKind.USER, user_id)
    access.uow.audit(org_id=org_id, target_user_id=str(user_id))


async def service_identity(uow: UnitOfWork, org_id: UUID) -> UUID:
    """Return the id of an org's service identity, which owns the keys of its publications; made on demand."""
    service_id, fresh = await AccountRepository(uow, EVERYTHING).service_of(org_id, new_id(), service_username(org_id))
    if fresh:
        uow.changed(ChangeKind.USER, service_id)
    return service_id


async def bootstrap_admin(uow: UnitOfWork, passwords: Passwords) -> tuple[str, str] | None:
    """Make the first System Admin and return name and password; None when there is one."""
    await uow.execute(select(func.pg_advisory_xact_lock(_BOOTSTRAP_LOCK)))
    repository = AccountRepository(uow, EVERYTHING)
    if await repository.has_system_admin():
        return None
    password = new_password()
    user: Row[Any] = await repository.add(new_id(), None, "admin", Role.SYSTEM_ADMIN, await passwords.hash(password))
    return user.username, password
