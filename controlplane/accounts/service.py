"""What happens to accounts: users of an org, service identities, the first System Admin."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, func, select

from controlplane import advisory_locks, errors
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.accounts.rules import new_password, service_username
from controlplane.accounts.schemas import NewSystemAdminBody, NewUserBody, NewUserView, UserView
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import revoke_all
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork
from ias.gateway_views import ChangeKind
from ias.roles import Role


async def create_user(access: Access, org_id: UUID, body: NewUserBody, passwords: Passwords) -> NewUserView:
    """Make a user of an org."""
    generated = None if body.password else new_password()
    password = body.password.get_secret_value() if body.password else str(generated)
    await access.uow.checkpoint()
    password_hash = await passwords.hash(password)
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    await refuse_name_of_another(AccountRepository(access.uow, EVERYTHING), body.username)
    user = await repository.add(new_id(), org_id, body.username, Role(body.role), password_hash, body.email)
    access.uow.audit(org_id=org_id, target_user_id=str(user.id))
    return NewUserView(**UserView.model_validate(user).model_dump(), initial_password=generated)


async def delete_user(access: Access, org_id: UUID, user_id: UUID) -> None:
    """Leave a tombstone; the user's sessions and keys stop at once."""
    if user_id == access.user_id:
        raise Problem(409, "cannot_delete_yourself", "Nobody can delete the own account: ask another admin.")
    reach = access.reach.within(org_id)
    repository = AccountRepository(access.uow, reach)
    user = await _person(repository, user_id)
    await _keep_an_admin(repository, user)
    await repository.bury(user_id)
    await revoke_all(KeyRepository(access.uow, reach), user_id)
    access.uow.changed(ChangeKind.USER, user_id)
    access.uow.audit(org_id=org_id, target_user_id=str(user_id))


async def find_user(access: Access, org_id: UUID, user_id: UUID) -> Row[Any]:
    """Return a person of an org; raise Problem 404."""
    return await _person(AccountRepository(access.uow, access.reach.within(org_id)), user_id)


async def change_role(access: Access, org_id: UUID, user_id: UUID, role: Role) -> Row[Any]:
    """Give a person of an org another role; it holds at once, in sessions that run too. An org keeps an admin."""
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    user = await _person(repository, user_id)
    if role != Role.ORG_ADMIN:
        await _keep_an_admin(repository, user)
    access.uow.audit(org_id=org_id, target_user_id=str(user_id), role_before=user.role)
    return await repository.change_role(user_id, role)


async def disable_user(access: Access, org_id: UUID, user_id: UUID) -> Row[Any]:
    """Stop a person's sessions and keys until they are enabled again; nothing is lost. An org keeps an admin who can act."""
    if user_id == access.user_id:
        raise Problem(409, "cannot_disable_yourself", "Nobody can disable the own account: ask another admin.")
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    user = await _person(repository, user_id)
    await _keep_an_admin(repository, user)
    return await _set_status(repository, user, "disabled")


async def enable_user(access: Access, org_id: UUID, user_id: UUID) -> Row[Any]:
    """Let a person sign in again; their keys work as before."""
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    return await _set_status(repository, await _person(repository, user_id), "active")


async def create_system_admin(access: Access, body: NewSystemAdminBody, passwords: Passwords) -> NewUserView:
    """Make another System Admin."""
    password = new_password()
    await access.uow.checkpoint()
    password_hash = await passwords.hash(password)
    repository = AccountRepository(access.uow, access.reach)
    await refuse_name_of_another(repository, body.username)
    user = await repository.add(new_id(), None, body.username, Role.SYSTEM_ADMIN, password_hash, body.email)
    access.uow.audit(target_user_id=str(user.id))
    return NewUserView(**UserView.model_validate(user).model_dump(), initial_password=password)


async def delete_system_admin(access: Access, user_id: UUID) -> None:
    """Leave a tombstone of another System Admin. Nobody deletes the own account, so one is always left."""
    repository = AccountRepository(access.uow, access.reach)
    if user_id == access.user_id:
        raise Problem(409, "cannot_delete_yourself", "Nobody can delete the own account: make another System Admin, who deletes this one.")
    if await repository.system_admin(access.user_id) is None:
        raise errors.unauthenticated()  # deleted by somebody else a moment ago
    if await repository.system_admin(user_id) is None:
        raise errors.not_found("system admin")
    await repository.bury(user_id)
    access.uow.audit(target_user_id=str(user_id))


async def create_service(access: Access, org_id: UUID, name: str) -> Row[Any]:
    """Make a service account: an identity for programs, which cannot sign in and whose keys the org's admins hold."""
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    made = await repository.add_service(new_id(), org_id, service_username(org_id, name))
    access.uow.changed(ChangeKind.USER, made.id)
    access.uow.audit(org_id=org_id, target_user_id=str(made.id))
    return made


async def delete_service(access: Access, org_id: UUID, user_id: UUID) -> None:
    """Leave a tombstone; its keys stop at once."""
    reach = access.reach.within(org_id)
    repository = AccountRepository(access.uow, reach)
    await _service(repository, user_id)
    await repository.bury(user_id)
    await revoke_all(KeyRepository(access.uow, reach), user_id)
    access.uow.changed(ChangeKind.USER, user_id)
    access.uow.audit(org_id=org_id, target_user_id=str(user_id))


async def disable_service(access: Access, org_id: UUID, user_id: UUID) -> Row[Any]:
    """Stop the keys of a service account until it is enabled again."""
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    return await _set_status(repository, await _service(repository, user_id), "disabled")


async def enable_service(access: Access, org_id: UUID, user_id: UUID) -> Row[Any]:
    """Let the keys of a service account work again."""
    repository = AccountRepository(access.uow, access.reach.within(org_id))
    return await _set_status(repository, await _service(repository, user_id), "active")


async def refuse_name_of_another(everybody: AccountRepository, username: str) -> None:
    """Nobody takes a user name that is somebody's e-mail address: that person signs in with it. Raises Problem 409."""
    if "@" in username and await everybody.has_address(username):
        raise Problem(409, "username_taken", "The user name is an e-mail address that another account has: choose another one.")


async def _person(repository: AccountRepository, user_id: UUID) -> Row[Any]:
    if (user := await repository.person(user_id)) is None:
        raise errors.not_found("user")
    return user


async def _service(repository: AccountRepository, user_id: UUID) -> Row[Any]:
    if (user := await repository.service(user_id)) is None:
        raise errors.not_found("service account")
    return user


async def _set_status(repository: AccountRepository, user: Row[Any], status: Literal["active", "disabled"]) -> Row[Any]:
    """Disabling what is disabled, or enabling what is enabled, changes nothing."""
    repository.uow.audit(org_id=user.org_id, target_user_id=str(user.id), status_before=user.status)
    if user.status == status:
        return user
    repository.uow.changed(ChangeKind.USER, user.id)
    return await repository.set_status(user.id, status)


async def _keep_an_admin(repository: AccountRepository, user: Row[Any]) -> None:
    if user.role == Role.ORG_ADMIN and user.status == "active" and await repository.other_admins(user.org_id, user.id) == 0:
        raise Problem(409, "last_org_admin", "This is the org's last admin: make another user org admin first, or delete the org.")


async def service_identity(uow: UnitOfWork, org_id: UUID) -> UUID:
    """Return the id of an org's service identity, which owns the keys of its publications; made on demand."""
    service_id, fresh = await AccountRepository(uow, EVERYTHING).service_of(org_id, new_id(), service_username(org_id))
    if fresh:
        uow.changed(ChangeKind.USER, service_id)
    return service_id


async def bootstrap_admin(uow: UnitOfWork, passwords: Passwords) -> tuple[str, str] | None:
    """Make the first System Admin and return name and password; None when there is one."""
    await uow.execute(select(func.pg_advisory_xact_lock(advisory_locks.BOOTSTRAP)))
    repository = AccountRepository(uow, EVERYTHING)
    if await repository.has_system_admin():
        return None
    password = new_password()
    user: Row[Any] = await repository.add(new_id(), None, "admin", Role.SYSTEM_ADMIN, await passwords.hash(password))
    return user.username, password
