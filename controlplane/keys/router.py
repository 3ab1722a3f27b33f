"""Routes of keys."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from controlplane.authorization import PUBLIC, Access, require
from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.keys import bulk, service, validation
from controlplane.keys.repository import KeyRepository
from controlplane.keys.schemas import (
    BulkRevokeBody,
    BulkRevokeView,
    KeyBody,
    KeyQuery,
    KeyView,
    NewKeyBody,
    NewKeyView,
    RotateBody,
    ValidateBody,
    ValidationView,
)
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, fetch_page
from controlplane.runtime import RuntimeNow
from controlplane.schema import keys
from controlplane.unit_of_work import unit_of_work
from ias.roles import Permission

router = Router(tags=["keys"])
Own = Annotated[Access, require(Permission.KEYS_OWN)]
OwnOrAll = Annotated[Access, require(Permission.KEYS_OWN, Permission.KEYS_ALL)]
Creator = Annotated[Access, require(Permission.KEYS_CREATE)]


@router.post("/key", name="key.create", status_code=201)
async def create_key(body: NewKeyBody, access: Creator, runtime: RuntimeNow, response: Response) -> NewKeyView:
    """Make an API key for yourself, or for a service account of your org. The key is in this answer only."""
    key = await service.create(access, body, runtime.key_rules)
    response.headers["location"] = f"/api/key/{key.id}"
    return key


@router.get("/key", name="key.list_own")
async def list_own_keys(access: Own, query: Annotated[KeyQuery, Query()]) -> Page[KeyView]:
    """List or search your own keys, revoked ones too."""
    own = replace(access.reach, user_id=access.user_id)
    return await fetch_page(access.uow, KeyRepository(access.uow, own).all(query), keys.c.id, query, KeyView)


@router.get("/org/{org}/key", name="key.list")
async def list_keys_of_org(org: str, access: Annotated[Access, require(Permission.KEYS_ALL)], query: Annotated[KeyQuery, Query()]) -> Page[KeyView]:
    """List or search all keys of an org, those of publications and revoked ones too."""
    repository = KeyRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    return await fetch_page(access.uow, repository.all(query), keys.c.id, query, KeyView)


@router.post("/org/{org}/key/revoke", name="key.bulk_revoke")
async def revoke_keys_of_org(org: str, body: BulkRevokeBody, access: Annotated[Access, require(Permission.KEYS_ALL)]) -> BulkRevokeView:
    """Revoke all keys of an org that a filter means: first a dry run that shows them, then with its `confirm`."""
    return await bulk.revoke(access, (await find_org(access, org)).id, body)


@router.post("/validate-api-key", name="key.validate", dependencies=[PUBLIC])
async def validate_key(body: ValidateBody, request: Request, runtime: RuntimeNow) -> ValidationView:
    """Say whether the gateway would take a key now, and what the key may use. Needs no sign-in; an address may not ask often."""
    await validation.check_pace(runtime.engine, runtime.validation_pace, request.state.client_address)
    async with unit_of_work(runtime.engine) as uow:  # without an audit row: nobody has signed in
        return await validation.validate(uow, body.api_key.get_secret_value(), runtime.key_rules)


@router.get("/key/{key_id}", name="key.get")
async def get_key(key_id: UUID, access: OwnOrAll, response: Response) -> KeyView:
    """Show a key."""
    key = await service.find(access, key_id)
    response.headers["etag"] = etag(key.version)
    return KeyView.model_validate(key)


@router.put("/key/{key_id}", name="key.update")
async def update_key(key_id: UUID, body: KeyBody, access: OwnOrAll, response: Response, if_match: IfMatch = None) -> KeyView:
    """Set name, end, models and labels of a key; what is left out is lifted. In effect within a second."""
    key = await service.update(access, key_id, body, expected_version(if_match))
    response.headers["etag"] = etag(key.version)
    return KeyView.model_validate(key)


@router.post("/key/{key_id}/disable", name="key.disable")
async def disable_key(key_id: UUID, access: OwnOrAll) -> KeyView:
    """Stop a key for now: it is refused everywhere within a second. Its owner cannot enable what an admin has disabled."""
    return KeyView.model_validate(await service.disable(access, key_id))


@router.post("/key/{key_id}/enable", name="key.enable")
async def enable_key(key_id: UUID, access: OwnOrAll) -> KeyView:
    """Let a disabled key work again."""
    return KeyView.model_validate(await service.enable(access, key_id))


@router.post("/key/{key_id}/rotate", name="key.rotate")
async def rotate_key(key_id: UUID, access: Own, runtime: RuntimeNow, body: RotateBody | None = None) -> NewKeyView:
    """Give your key, or that of a service account, a new secret, which is in this answer only. The one before works on for the overlap."""
    overlap = timedelta(seconds=(body or RotateBody()).overlap_seconds)
    return await service.rotate(access, key_id, overlap, runtime.key_rules)


@router.delete("/key/{key_id}", name="key.revoke", status_code=204)
async def revoke_key(key_id: UUID, access: OwnOrAll) -> None:
    """Revoke a key for good: it is refused everywhere within a second. Running answers end normally."""
    await service.revoke(access, key_id)
