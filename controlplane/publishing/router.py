"""Routes of publishing; paths and bodies are those of seed 002."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query, Response

from controlplane.authorization import Access, require
from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.keys.schemas import RotateBody
from controlplane.pagination import Page, fetch_rows
from controlplane.publishing import allowance, rules, service
from controlplane.publishing.schemas import Allowance, AllowanceView, Change, NewPublicationView, PublicationQuery, PublicationView, Publish
from controlplane.runtime import RuntimeNow
from controlplane.schema import publications
from ias.roles import Permission

router = Router(tags=["publishing"])
ModelManager = Annotated[Access, require(Permission.MODELS_MANAGE)]


@router.post("/models/{name}/publish", name="model.publish", status_code=201)
async def publish(name: str, body: Publish, access: ModelManager, runtime: RuntimeNow, response: Response) -> NewPublicationView:
    """Publish a model (System Admin). It is live when this answers; its key is in this answer only."""
    view = await service.publish(runtime.publisher, access, name, body.config)
    response.headers["location"] = f"/api/models/{name}/publish"
    response.headers["etag"] = etag(view.version)
    return view


@router.get("/models/{name}/publish", name="model.get")
async def get(name: str, access: ModelManager, runtime: RuntimeNow, response: Response) -> PublicationView:
    """Show a published model with its use."""
    view = await service.get(runtime.publisher, access, name)
    response.headers["etag"] = etag(view.version)
    return view


@router.put("/models/{name}/publish", name="model.update")
async def change(name: str, body: Change, access: ModelManager, runtime: RuntimeNow, response: Response, if_match: IfMatch = None) -> PublicationView:
    """Change what is given of a published model's configuration (System Admin); the rest stays."""
    view = await service.change(runtime.publisher, access, name, body.config, expected_version(if_match))
    response.headers["etag"] = etag(view.version)
    return view


@router.post("/models/{name}/publish/rotate-key", name="model.rotate_key")
async def rotate_key(name: str, access: ModelManager, runtime: RuntimeNow, body: RotateBody | None = None) -> NewPublicationView:
    """Give a published model's key a new secret (System Admin), which is in this answer only. The one before works on for the overlap."""
    overlap = timedelta(seconds=(body or RotateBody()).overlap_seconds)
    return await service.rotate_publication_key(runtime.publisher, access, name, overlap)


@router.delete("/models/{name}/publish", name="model.unpublish", status_code=204)
async def unpublish(name: str, access: ModelManager, runtime: RuntimeNow) -> None:
    """Unpublish a model and revoke its key (System Admin). Running answers end normally; the name is free again."""
    await service.unpublish(runtime.publisher, access, name)


@router.get("/published-models", name="model.list")
async def list_published(
    access: ModelManager,
    runtime: RuntimeNow,
    query: Annotated[PublicationQuery, Query()],
) -> Page[PublicationView]:
    """List published models, newest first."""
    statement = await service.listing(access, query.tenant_id)
    rows, next_cursor = await fetch_rows(access.uow, statement, publications.c.id, query)
    return Page[PublicationView](items=await service.views(runtime.publisher, access, rows), next_cursor=next_cursor)


@router.get("/org/{org}/publishing", name="org_publishing.get")
async def get_allowance(org: str, access: ModelManager, runtime: RuntimeNow) -> AllowanceView:
    """Show what an org may publish, and how much of it it has (System Admin)."""
    return await allowance.show(access, org, runtime.publisher.publications_per_org)


@router.put("/org/{org}/publishing", name="org_publishing.set")
async def set_allowance(org: str, body: Allowance, access: ModelManager, runtime: RuntimeNow) -> AllowanceView:
    """Set how many models an org may publish, and at which hostnames (System Admin). What is published already stays."""
    return await allowance.allow(access, org, body, runtime.publisher.publications_per_org)


@router.api_route("/models/{name:path}/publish", methods=["POST", "PUT", "DELETE"], name="model.refuse_name", include_in_schema=False)
async def refuse_name(name: str, access: ModelManager) -> None:
    """Say what is wrong with a name that holds a slash."""
    rules.check_name(name)
