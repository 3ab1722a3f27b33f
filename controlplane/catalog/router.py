"""Routes of the catalog; all for System Admins. What an org may use of it: `controlplane.approvals` and `controlplane.registry`."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from controlplane.authorization import Access, require
from controlplane.catalog import service
from controlplane.catalog.repository import CatalogRepository
from controlplane.catalog.schemas import CatalogModelView, CatalogQuery, EditModelBody, HistoryView, NewPriceBody, PriceList, PriceView
from controlplane.catalog.tables import catalog_changes, catalog_models
from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.pagination import Page, PageQuery, fetch_page
from ias.roles import Permission

router = Router(tags=["catalog"])
ModelManager = Annotated[Access, require(Permission.MODELS_MANAGE)]


@router.get("/catalog", name="catalog.list")
async def list_catalog(access: ModelManager, query: Annotated[CatalogQuery, Query()]) -> Page[CatalogModelView]:
    """List the models of all backends, the newest first."""
    statement = CatalogRepository(access.uow, access.reach).all(backend=query.backend, status=query.status, named=query.name)
    return await fetch_page(access.uow, statement, catalog_models.c.id, query, CatalogModelView)


@router.get("/catalog/{catalog_model_id}", name="catalog.get")
async def get_model(catalog_model_id: UUID, access: ModelManager, response: Response) -> CatalogModelView:
    """Show a model of the catalog."""
    view = CatalogModelView.model_validate(await service.find(access, catalog_model_id))
    response.headers["etag"] = etag(view.version)
    return view


@router.put("/catalog/{catalog_model_id}", name="catalog.edit")
async def edit_model(
    catalog_model_id: UUID, body: EditModelBody, access: ModelManager, response: Response, if_match: IfMatch = None
) -> CatalogModelView:
    """Say what a model can do, instead of its backend; null takes it back. What is left out stays."""
    view = CatalogModelView.model_validate(await service.edit(access, catalog_model_id, body, expected_version(if_match)))
    response.headers["etag"] = etag(view.version)
    return view


@router.get("/catalog/{catalog_model_id}/change", name="catalog.history")
async def list_changes(catalog_model_id: UUID, access: ModelManager, query: Annotated[PageQuery, Query()]) -> Page[HistoryView]:
    """List what changed about a model, the newest first."""
    await service.find(access, catalog_model_id)
    statement = CatalogRepository(access.uow, access.reach).history(catalog_model_id)
    return await fetch_page(access.uow, statement, catalog_changes.c.id, query, HistoryView)


@router.get("/catalog/{catalog_model_id}/price", name="catalog.list_prices")
async def list_prices(catalog_model_id: UUID, access: ModelManager) -> PriceList:
    """List all prices of a model: those that were, the one that is in force, those to come."""
    await service.find(access, catalog_model_id)
    rows = await CatalogRepository(access.uow, access.reach).prices(catalog_model_id)
    return PriceList(items=[PriceView.model_validate(row) for row in rows])


@router.post("/catalog/{catalog_model_id}/price", name="catalog.set_price", status_code=201)
async def set_price(catalog_model_id: UUID, body: NewPriceBody, access: ModelManager) -> PriceList:
    """Set what a million tokens cost from a moment on. One that is not in force yet can be replaced."""
    rows = await service.set_price(access, catalog_model_id, body)
    return PriceList(items=[PriceView.model_validate(row) for row in rows])
