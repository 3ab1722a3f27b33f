"""Routes of accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from controlplane.accounts import service
from controlplane.accounts.repository import AccountRepository
from controlplane.accounts.schemas import NewUserBody, NewUserView, UserView
from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import users
from ias.roles import Permission

router = Router(tags=["accounts"])
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
