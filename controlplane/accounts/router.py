"""Routes of accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from controlplane.accounts import service
from controlplane.accounts.repository import AccountRepository
from controlplane.accounts.schemas import NewServiceBody, NewSystemAdminBody, NewUserBody, NewUserView, RoleBody, ServiceView, UserView
from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import users
from ias.roles import Permission, Role

router = Router(tags=["accounts"])
SystemAdmin = Annotated[Access, require(Permission.ORGS_MANAGE)]
UserManager = Annotated[Access, require(Permission.USERS_MANAGE)]


@router.post("/org/{org}/user", name="user.create", status_code=201)
async def create_user(org: str, body: NewUserBody, access: UserManager, runtime: RuntimeNow, response: Response) -> NewUserView:
    """Make a user; without a password one is generated and shown once."""
    org_id = (await find(access, org)).id
    user = await service.create_user(access, org_id, body, runtime.passwords)
    response.headers["location"] = f"/api/org/{org_id}/user/{user.id}"
    return user


@router.get("/org/{org}/user", name="user.list")
async def list_users(org: str, access: UserManager, page: Annotated[PageQuery, Query()]) -> Page[UserView]:
    """List the users of an org."""
    repository = AccountRepository(access.uow, access.reach.within((await find(access, org)).id))
    return await fetch_page(access.uow, repository.people(), users.c.id, page, UserView)


@router.delete("/org/{org}/user/{user_id}", name="user.delete", status_code=204)
async def delete_user(org: str, user_id: UUID, access: UserManager) -> None:
    """Delete a user; sessions and keys stop at once."""
    await service.delete_user(access, (await find(access, org)).id, user_id)


@router.get("/org/{org}/user/{user_id}", name="user.get")
async def get_user(org: str, user_id: UUID, access: UserManager) -> UserView:
    """Show a user of an org."""
    return UserView.model_validate(await service.find_user(access, (await find(access, org)).id, user_id))


@router.put("/org/{org}/user/{user_id}/role", name="user.change_role")
async def change_role(org: str, user_id: UUID, body: RoleBody, access: UserManager) -> UserView:
    """Give a user another role; it holds at once. The last admin of an org stays one."""
    return UserView.model_validate(await service.change_role(access, (await find(access, org)).id, user_id, Role(body.role)))


@router.post("/org/{org}/user/{user_id}/disable", name="user.disable")
async def disable_user(org: str, user_id: UUID, access: UserManager) -> UserView:
    """Disable a user: sessions end and keys are refused within a second, until the user is enabled. The last admin of an org stays one."""
    return UserView.model_validate(await service.disable_user(access, (await find(access, org)).id, user_id))


@router.post("/org/{org}/user/{user_id}/enable", name="user.enable")
async def enable_user(org: str, user_id: UUID, access: UserManager) -> UserView:
    """Let a disabled user sign in again; the keys work as before."""
    return UserView.model_validate(await service.enable_user(access, (await find(access, org)).id, user_id))


@router.post("/org/{org}/service-account", name="service_account.create", status_code=201)
async def create_service_account(org: str, body: NewServiceBody, access: UserManager, response: Response) -> ServiceView:
    """Make a service account: an identity for programs, which cannot sign in. An org admin makes its keys."""
    org_id = (await find(access, org)).id
    made = await service.create_service(access, org_id, body.name)
    response.headers["location"] = f"/api/org/{org_id}/service-account/{made.id}"
    return ServiceView.model_validate(made)


@router.get("/org/{org}/service-account", name="service_account.list")
async def list_service_accounts(org: str, access: UserManager, page: Annotated[PageQuery, Query()]) -> Page[ServiceView]:
    """List the service accounts of an org."""
    repository = AccountRepository(access.uow, access.reach.within((await find(access, org)).id))
    return await fetch_page(access.uow, repository.services(), users.c.id, page, ServiceView)


@router.delete("/org/{org}/service-account/{service_account_id}", name="service_account.delete", status_code=204)
async def delete_service_account(org: str, service_account_id: UUID, access: UserManager) -> None:
    """Delete a service account; its keys stop at once."""
    await service.delete_service(access, (await find(access, org)).id, service_account_id)


@router.post("/org/{org}/service-account/{service_account_id}/disable", name="service_account.disable")
async def disable_service_account(org: str, service_account_id: UUID, access: UserManager) -> ServiceView:
    """Disable a service account: its keys are refused within a second, until it is enabled."""
    return ServiceView.model_validate(await service.disable_service(access, (await find(access, org)).id, service_account_id))


@router.post("/org/{org}/service-account/{service_account_id}/enable", name="service_account.enable")
async def enable_service_account(org: str, service_account_id: UUID, access: UserManager) -> ServiceView:
    """Let the keys of a disabled service account work again."""
    return ServiceView.model_validate(await service.enable_service(access, (await find(access, org)).id, service_account_id))


@router.post("/system-admin", name="system_admin.create", status_code=201)
async def create_system_admin(body: NewSystemAdminBody, access: SystemAdmin, runtime: RuntimeNow) -> NewUserView:
    """Make another System Admin; the password is generated and shown once."""
    return await service.create_system_admin(access, body, runtime.passwords)


@router.get("/system-admin", name="system_admin.list")
async def list_system_admins(access: SystemAdmin, page: Annotated[PageQuery, Query()]) -> Page[UserView]:
    """List the System Admins."""
    return await fetch_page(access.uow, AccountRepository(access.uow, access.reach).system_admins(), users.c.id, page, UserView)


@router.delete("/system-admin/{system_admin_id}", name="system_admin.delete", status_code=204)
async def delete_system_admin(system_admin_id: UUID, access: SystemAdmin) -> None:
    """Delete another System Admin; their sessions end at once. Nobody deletes the own account, so one is always left."""
    await service.delete_system_admin(access, system_admin_id)
