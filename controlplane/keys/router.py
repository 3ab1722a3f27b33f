"""Routes of keys."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from controlplane.authorization import Access, require
from controlplane.keys import service
from controlplane.keys.repository import KeyRepository
from controlplane.keys.schemas import KeyView, NewKeyBody, NewKeyView
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, PageQuery, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import keys
from ias.roles import Permission

router = APIRouter(tags=["keys"])
OwnOrAll = Annotated[Access, require(Permission.KEYS_OWN, Permission.KEYS_ALL)]


@router.post("/key", name="key.create", status_code=201)
async def create_key(
    body: NewKeyBody, access: Annotated[Access, require(Permission.KEYS_CREATE)], runtime: RuntimeNow, response: Response
) -> NewKeyView:
    """Make an API key for yourself. The key is in this answer only."""
    key = await service.create_own(access, body, runtime.key_rules)
    response.headers["location"] = f"/api/key/{key.id}"
    return key


@router.get("/key", name="key.list_own")
async def list_own_keys(access: Annotated[Access, require(Permission.KEYS_OWN)], page: Annotated[PageQuery, Query()]) -> Page[KeyView]:
    """List your own keys, revoked ones too."""
    own = replace(access.reach, user_id=access.user_id)
    return await fetch_page(access.uow, KeyRepository(access.uow, own).all(), keys.c.id, page, KeyView)


@router.get("/org/{org}/key", name="key.list")
async def list_keys_of_org(org: str, access: Annotated[Access, require(Permission.KEYS_ALL)], page: Annotated[PageQuery, Query()]) -> Page[KeyView]:
    """List all keys of an org, those of publications and revoked ones too."""
    repository = KeyRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    return await fetch_page(access.uow, repository.all(), keys.c.id, page, KeyView)


@router.get("/key/{key_id}", name="key.get")
async def get_key(key_id: UUID, access: OwnOrAll) -> KeyView:
    """Show a key."""
    return KeyView.model_validate(await service.find(access, key_id))


@router.delete("/key/{key_id}", name="key.revoke", status_code=204)
async def revoke_key(key_id: UUID, access: OwnOrAll) -> None:
    """Revoke a key for good: it is refused everywhere within a second. Running answers end normally."""
    await service.revoke(access, key_id)
