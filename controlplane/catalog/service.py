"""What happens to the catalog: discovery writes it, a System Admin corrects it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import errors
from controlplane.authorization import Access
from controlplane.catalog.engine_list import Told
from controlplane.catalog.repository import CatalogRepository
from controlplane.catalog.rules import SEEN_PRECISION, ChangeOfModel, Discovery, reconcile, tidy
from controlplane.catalog.schemas import EditModelBody, NewPriceBody
from controlplane.errors import Problem
from controlplane.etag import check_version
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias import logs
from ias.gateway_views import ChangeKind

log = logs.get(__name__)


class Discoverer:
    """Takes what backends tell into the catalog. It remembers what it has taken, so that the same again costs nothing."""

    def __init__(self) -> None:
        self._settled: dict[UUID, tuple[int, datetime]] = {}

    async def take(self, engine: AsyncEngine, backend_id: UUID, told: Sequence[Told] | None, at: datetime) -> None:
        """Write down what a scheduled probe has brought; None: the backend did not tell, which says nothing about its models."""
        if told is None:
            return
        digest = hash(_content(told))
        before = self._settled.get(backend_id)
        if before is not None and before[0] == digest and at - before[1] < SEEN_PRECISION:
            return
        async with unit_of_work(engine) as uow:
            found = await discover(uow, backend_id, told, at)
        if found is None or found.missing:
            self._settled.pop(backend_id, None)  # the next one counts
        else:
            self._settled[backend_id] = digest, at


def _content(told: Sequence[Told]) -> tuple[Any, ...]:
    return tuple((one.upstream_model, one.context_tokens, one.output_tokens, one.capabilities, one.modalities, repr(one.metadata)) for one in told)


async def discover(uow: UnitOfWork, backend_id: UUID, told: Sequence[Told], at: datetime) -> Discovery | None:
    """Bring the catalog to what a backend told, and tell the gateway of what came or went; None: the backend is gone."""
    repository = CatalogRepository(uow, EVERYTHING)
    if not await repository.hold_backend(backend_id):
        return None
    found = reconcile(told, await repository.known(backend_id), at)
    if found.new:
        await repository.add(backend_id, found.new, at)
    if found.steps:
        await repository.take(found.steps, at)
    changed = [step.after.id for step in found.steps if step.kind is not None]
    if changed:
        await announce(uow, changed)
    if changed or found.new:
        uow.changed(ChangeKind.CATALOG, backend_id)
        log.info("catalog changed", backend_id=str(backend_id), new=len(found.new), **{kind: found.count(kind) for kind in ChangeOfModel})
    return found


async def announce(uow: UnitOfWork, catalog_model_ids: Sequence[UUID]) -> None:
    """Tell the gateway that what it knows of the publications of these models may be different now."""
    for publication_id in await CatalogRepository(uow, EVERYTHING).publications_of(catalog_model_ids):
        uow.changed(ChangeKind.PUBLICATION, publication_id)


async def find(access: Access, catalog_model_id: UUID) -> Row[Any]:
    """Return a model; raise Problem 404."""
    if (row := await CatalogRepository(access.uow, access.reach).by_id(catalog_model_id)) is None:
        raise errors.not_found("catalog model")
    return row


async def edit(access: Access, catalog_model_id: UUID, body: EditModelBody, expected: int | None) -> Row[Any]:
    """Set what a person says of a model; null leaves it to the backend again. Raises Problem 404, 409 or 412."""
    repository = CatalogRepository(access.uow, access.reach)
    if (before := await repository.lock(catalog_model_id)) is None:
        raise errors.not_found("catalog model")
    check_version(expected, before.version, "model")
    given = body.model_dump(exclude_unset=True, exclude={"aliases"})
    values = {f"set_{name}": tidy(value) if isinstance(value, list) else value for name, value in given.items()}
    await repository.edit(catalog_model_id, values)
    if body.aliases is not None:
        await repository.set_aliases(catalog_model_id, set(body.aliases))
    after = await find(access, catalog_model_id)
    changes = {name: [getattr(before, name), getattr(after, name)] for name in body.model_fields_set}
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    await repository.note(
        {"catalog_model_id": catalog_model_id, "kind": ChangeOfModel.EDITED, "changes": changes, "user_id": access.user_id, "at": datetime.now(UTC)}
    )
    access.uow.changed(ChangeKind.CATALOG_MODEL, catalog_model_id)
    await announce(access.uow, [catalog_model_id])
    access.uow.audit(catalog_model_id=str(catalog_model_id))
    return after


async def set_price(access: Access, catalog_model_id: UUID, body: NewPriceBody) -> Sequence[Row[Any]]:
    """Set the price from a moment on; return all prices. Raises Problem 409 for one that is in force already."""
    await find(access, catalog_model_id)
    repository, now = CatalogRepository(access.uow, access.reach), datetime.now(UTC)
    values = {**body.model_dump(), "valid_from": body.valid_from or now, "catalog_model_id": catalog_model_id, "set_by": access.user_id}
    if not await repository.set_price(values, now):
        raise Problem(409, "price_in_force", "A price that is in force does not change any more: set another one from a later moment on.")
    access.uow.changed(ChangeKind.CATALOG_MODEL, catalog_model_id)
    access.uow.audit(catalog_model_id=str(catalog_model_id))
    return await repository.prices(catalog_model_id)
