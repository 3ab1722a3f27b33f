"""SQL of the catalog. It belongs to no org: a reach of one org raises."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from controlplane.backends.repository import LIVING
from controlplane.catalog.engine_list import Told
from controlplane.catalog.rules import Known, Status, Step
from controlplane.catalog.tables import catalog_aliases, catalog_changes, catalog_models, catalog_prices, publication_models
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.repository import Repository, refusing
from controlplane.schema import backends

_FACTS = "told_capabilities text[], told_modalities text[], told_context_tokens bigint, told_output_tokens bigint, metadata jsonb"
_COLUMNS = "told_capabilities, told_modalities, told_context_tokens, told_output_tokens, metadata"
# One parameter, whatever the number of models: a statement has room for 32,767.
_ADD = text(
    f"INSERT INTO catalog_models (id, backend_id, upstream_model, {_COLUMNS}, first_seen_at, last_seen_at) "  # noqa: S608  (constants)
    f"SELECT id, :backend_id, upstream_model, {_COLUMNS}, :at, :at FROM jsonb_to_recordset(:rows) AS r (id uuid, upstream_model text, {_FACTS}) "
    "ON CONFLICT ON CONSTRAINT catalog_models_once DO NOTHING"
).bindparams(bindparam("rows", type_=JSONB))
_CHANGE = text(
    "UPDATE catalog_models m SET status = r.status, missed = r.missed, last_seen_at = r.last_seen_at, updated_at = now(), "  # noqa: S608  (constants)
    f"version = m.version + r.counts, {', '.join(f'{column} = r.{column}' for column in _COLUMNS.split(', '))} "
    "FROM jsonb_to_recordset(:rows) AS r "
    f"(id uuid, status text, missed integer, last_seen_at timestamptz, counts bigint, {_FACTS}) WHERE m.id = r.id"
).bindparams(bindparam("rows", type_=JSONB))
_NOTE = text(
    "INSERT INTO catalog_changes (id, catalog_model_id, kind, changes, at) "
    "SELECT id, catalog_model_id, kind, changes, :at FROM jsonb_to_recordset(:rows) AS r (id uuid, catalog_model_id uuid, kind text, changes jsonb)"
).bindparams(bindparam("rows", type_=JSONB))


def aliases_of_model() -> Any:
    """Select the aliases of a model, for a row of it."""
    return func.array(
        select(catalog_aliases.c.alias)
        .where(catalog_aliases.c.catalog_model_id == catalog_models.c.id)
        .order_by(catalog_aliases.c.alias)
        .scalar_subquery()
    ).label("aliases")


class CatalogRepository(Repository):
    """Models of living backends."""

    def all(self, *, backend: str | None = None, status: Status | None = None, named: str | None = None) -> Select[Any]:
        """Models with the names of their backends and their aliases; `named` is a part of the engine's name."""
        statement = (
            self.visible(catalog_models, catalog_models, backends.c.name.label("backend"), aliases_of_model())
            .join(backends, backends.c.id == catalog_models.c.backend_id)
            .where(LIVING)
        )
        if backend is not None:
            statement = statement.where(backends.c.name == backend)
        if status is not None:
            statement = statement.where(catalog_models.c.status == status)
        return statement if named is None else statement.where(catalog_models.c.upstream_model.contains(named, autoescape=True))

    async def by_id(self, catalog_model_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.all().where(catalog_models.c.id == catalog_model_id))).one_or_none()

    async def lock(self, catalog_model_id: UUID) -> Row[Any] | None:
        """Hold one until the commit."""
        statement = self.all().where(catalog_models.c.id == catalog_model_id).with_for_update(of=catalog_models)
        return (await self.uow.execute(statement)).one_or_none()

    async def hold_backend(self, backend_id: UUID) -> bool:
        """Be the only one who writes down a discovery of a backend; False when it is gone."""
        statement = self.visible(backends, backends.c.id).where(backends.c.id == backend_id, LIVING).with_for_update(key_share=True)
        return (await self.uow.execute(statement)).one_or_none() is not None

    async def known(self, backend_id: UUID) -> list[Known]:
        """All models of a backend as discovery writes them."""
        rows = (await self.uow.execute(self.visible(catalog_models).where(catalog_models.c.backend_id == backend_id))).all()
        return [Known(row.id, Status(row.status), row.missed, row.last_seen_at, _told(row)) for row in rows]

    async def add(self, backend_id: UUID, new: Sequence[Told], at: datetime) -> None:
        """Insert models that a backend told of for the first time."""
        rows = [{"id": str(new_id()), "upstream_model": told.upstream_model, **_facts(told)} for told in new]
        await self.uow.execute(_ADD.bindparams(backend_id=backend_id, at=at, rows=rows))

    async def take(self, steps: Sequence[Step], at: datetime) -> None:
        """Write how known models came out of a discovery, and the history of it."""
        rows = [
            {
                "id": str(step.after.id),
                "status": step.after.status,
                "missed": step.after.missed,
                "last_seen_at": step.after.last_seen_at.isoformat(),
                "counts": int(step.kind is not None),
                **_facts(step.after.told),
            }
            for step in steps
        ]
        await self.uow.execute(_CHANGE.bindparams(rows=rows))
        told = [
            {"id": str(new_id()), "catalog_model_id": str(step.after.id), "kind": step.kind, "changes": msgspec.to_builtins(step.changes)}
            for step in steps
            if step.kind is not None
        ]
        if told:
            await self.uow.execute(_NOTE.bindparams(rows=told, at=at))

    async def edit(self, catalog_model_id: UUID, values: dict[str, Any]) -> None:
        """Set what a person says of a model, and count its version up."""
        statement = self.update(catalog_models).where(catalog_models.c.id == catalog_model_id)
        await self.uow.execute(statement.values(**values, version=catalog_models.c.version + 1))

    async def set_aliases(self, catalog_model_id: UUID, aliases: Collection[str]) -> None:
        """Make these the aliases of a model; raise Problem 409 when another one has one of them."""
        await self.uow.execute(delete(catalog_aliases).where(catalog_aliases.c.catalog_model_id == catalog_model_id))
        taken = Problem(409, "alias_taken", "Another model has one of these aliases: an alias is the name of one model in the whole catalog.")
        if aliases:
            with refusing("catalog_aliases_once", taken):
                await self.uow.execute(insert(catalog_aliases).values([{"alias": one, "catalog_model_id": catalog_model_id} for one in aliases]))

    async def note(self, values: dict[str, Any]) -> None:
        """Write one row of history."""
        await self.uow.execute(insert(catalog_changes).values(id=new_id(), **values))

    def history(self, catalog_model_id: UUID) -> Select[Any]:
        """What changed about a model."""
        return self.visible(catalog_changes).where(catalog_changes.c.catalog_model_id == catalog_model_id)

    async def prices(self, catalog_model_id: UUID) -> Sequence[Row[Any]]:
        """All prices of a model, the latest first."""
        query = self.visible(catalog_prices).where(catalog_prices.c.catalog_model_id == catalog_model_id)
        return (await self.uow.execute(query.order_by(catalog_prices.c.valid_from.desc()))).all()

    async def set_price(self, values: dict[str, Any], now: datetime) -> bool:
        """Insert a price, or replace one of the same time that is not in force yet; False when it is in force."""
        new = upsert(catalog_prices).values(values)
        replaced = {name: new.excluded[name] for name in ("currency", "input", "cached_input", "output", "set_by")}
        statement = new.on_conflict_do_update(
            index_elements=["catalog_model_id", "valid_from"], set_=replaced, where=catalog_prices.c.valid_from > now
        )
        return (await self.uow.execute(statement)).rowcount == 1

    async def publications_of(self, catalog_model_ids: Collection[UUID]) -> Sequence[UUID]:
        """Return the publications that go to one of these models."""
        query = self.visible(publication_models, publication_models.c.publication_id).distinct()
        return (await self.uow.execute(query.where(publication_models.c.catalog_model_id == func.any(list(catalog_model_ids))))).scalars().all()


def has_alias(aliases: Collection[str]) -> Any:
    """Return the condition that one of these is an alias of a row's model."""
    return catalog_models.c.id.in_(select(catalog_aliases.c.catalog_model_id).where(catalog_aliases.c.alias.in_(aliases)))


def _told(row: Row[Any]) -> Told:
    return Told(
        row.upstream_model,
        row.told_context_tokens,
        row.told_output_tokens,
        tuple(row.told_capabilities),
        tuple(row.told_modalities),
        row.facts,
    )


def _facts(told: Told) -> dict[str, Any]:
    return {
        "told_capabilities": told.capabilities,
        "told_modalities": told.modalities,
        "told_context_tokens": told.context_tokens,
        "told_output_tokens": told.output_tokens,
        "metadata": dict(told.metadata),
    }
