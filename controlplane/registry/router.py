"""Routes of the registry: `get_tenant_model` and `list_tenant_models` of seed 003."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from sqlalchemy import Row

from controlplane.approvals.rules import State
from controlplane.approvals.schemas import ModelName
from controlplane.authorization import Access, require
from controlplane.catalog.rules import Status, canonical_id
from controlplane.catalog.schemas import PriceView
from controlplane.catalog.tables import catalog_models
from controlplane.idempotency.route import Router
from controlplane.orgs.service import find as find_org
from controlplane.pagination import Page, fetch_rows
from controlplane.registry import rules
from controlplane.registry.repository import RegistryRepository
from controlplane.registry.rules import Refusal
from controlplane.registry.schemas import ModelQuery, ProviderView, TenantModelView
from ias.roles import Permission

router = Router(tags=["registry"])
Viewer = Annotated[Access, require(Permission.MODELS_VIEW)]


@router.get("/org/{org}/model", name="registry.list_models")
async def list_tenant_models(org: str, access: Viewer, query: Annotated[ModelQuery, Query()]) -> Page[TenantModelView]:
    """List the models that an org may use, the newest first."""
    repository = RegistryRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    statement = repository.available(query.provider, query.capability, query.modality)
    rows, next_cursor = await fetch_rows(access.uow, statement, catalog_models.c.id, query)
    prices = await repository.prices([row.id for row in rows], datetime.now(UTC))
    return Page(items=[_view(row, prices.get(row.id)) for row in rows], next_cursor=next_cursor)


@router.get("/org/{org}/model/{model:path}", name="registry.get_model")
async def get_tenant_model(org: str, model: Annotated[ModelName, Path()], access: Viewer) -> TenantModelView:
    """Say what a model is for an org, or why it may not use it. A model is named by its id, `backend::engine-name`, or by an alias."""
    repository = RegistryRepository(access.uow, access.reach.within((await find_org(access, org)).id))
    if (row := await repository.find(model)) is None:
        raise rules.problem(Refusal.NOT_FOUND, model)
    if (refusal := rules.judge(State(row.state), Status(row.status))) is not None:
        raise rules.problem(refusal, model)
    return _view(row, (await repository.prices([row.id], datetime.now(UTC))).get(row.id))


def _view(row: Row[Any], price: Row[Any] | None) -> TenantModelView:
    provider = ProviderView(
        name=row.backend,
        kind=row.kind,
        url_kind=rules.url_kind(row.base_url),
        health=row.health,
        health_reason=row.health_reason,
        checked_at=row.checked_at,
    )
    return TenantModelView(
        id=row.id,
        model=canonical_id(row.backend, row.upstream_model),
        upstream_model=row.upstream_model,
        aliases=row.aliases,
        capabilities=row.capabilities,
        modalities=row.modalities,
        context_tokens=row.context_tokens,
        output_tokens=row.output_tokens,
        price=None if price is None else PriceView.model_validate(price),
        provider=provider,
    )
