"""SQL of approvals: models as an org sees them, decisions and rules. The reach is that of one org."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import Uuid

from controlplane.approvals.rules import State
from controlplane.approvals.tables import approval_rules, model_approval_states, model_approvals
from controlplane.backends.repository import LIVING
from controlplane.catalog.repository import aliases_of_model, has_alias
from controlplane.catalog.rules import split_id
from controlplane.catalog.tables import catalog_models, publication_models
from controlplane.repository import Repository
from controlplane.schema import backends, publication_tenants

_DECIDED = model_approval_states.c
_SHOWN = ("id", "upstream_model", "capabilities", "modalities", "context_tokens", "output_tokens", "status", "first_seen_at", "last_seen_at")


class ApprovalRepository(Repository):
    """The catalog with what an org has decided of each model."""

    def models(self, *, state: State | None = None, backend: str | None = None, name: str | None = None) -> Select[Any]:
        """All models of living backends, or those in a state, of a backend, with a part of a name."""
        statement = (
            self.visible(
                model_approval_states,
                *(catalog_models.c[column] for column in _SHOWN),
                *(_DECIDED[column] for column in ("org_id", "state", "reason", "decided_by", "decided_at")),
                backends.c.id.label("backend_id"),
                backends.c.name.label("backend"),
                backends.c.kind,
                backends.c.base_url,
                backends.c.health,
                backends.c.health_reason,
                backends.c.checked_at,
                aliases_of_model(),
            )
            .join(catalog_models, catalog_models.c.id == _DECIDED.catalog_model_id)
            .join(backends, backends.c.id == catalog_models.c.backend_id)
            .where(LIVING)
        )
        if state is not None:
            statement = statement.where(_DECIDED.state == state)
        if backend is not None:
            statement = statement.where(backends.c.name == backend)
        return statement if name is None else statement.where(catalog_models.c.upstream_model.contains(name, autoescape=True))

    async def named(self, names: Collection[str]) -> dict[str, Row[Any]]:
        """Return models by the canonical ids and aliases that name them; what names none is left out."""
        parts = {name: split for name in names if (split := split_id(name)) is not None}
        meant = or_(tuple_(backends.c.name, catalog_models.c.upstream_model).in_(parts.values()), has_alias(names))
        rows = (await self.uow.execute(self.models().where(meant))).all()
        found = {alias: row for row in rows for alias in row.aliases if alias in names}
        by_parts = {(row.backend, row.upstream_model): row for row in rows}
        return found | {name: by_parts[split] for name, split in parts.items() if split in by_parts}

    async def of(self, backend: str | None) -> Sequence[Row[Any]]:
        """Return all models, or those of a backend, in order of their names."""
        query = self.models(backend=backend).order_by(backends.c.name, catalog_models.c.upstream_model)
        return (await self.uow.execute(query)).all()

    async def decide(self, catalog_model_ids: Collection[UUID], values: dict[str, Any]) -> None:
        """Write what was decided of some models; what was decided before is in the audit log."""
        chosen = func.unnest(literal(list(catalog_model_ids), ARRAY(Uuid)))
        columns = ["catalog_model_id", *values]
        new = upsert(model_approvals).from_select(columns, _constants(chosen, values))
        replaced = {name: new.excluded[name] for name in values if name != "org_id"}
        await self.uow.execute(new.on_conflict_do_update(index_elements=["org_id", "catalog_model_id"], set_=replaced))

    async def publications_with(self, catalog_model_ids: Collection[UUID] | None = None) -> Sequence[UUID]:
        """Return the publications that are offered to the org and go to one of these models; without ids, all that are offered to it."""
        query = self.visible(publication_tenants, publication_tenants.c.publication_id).distinct()
        if catalog_model_ids is not None:
            query = query.join(publication_models, publication_models.c.publication_id == publication_tenants.c.publication_id).where(
                publication_models.c.catalog_model_id == func.any(literal(list(catalog_model_ids), ARRAY(Uuid)))
            )
        return (await self.uow.execute(query)).scalars().all()

    def rules(self) -> Select[Any]:
        """All rules of the org, those that have ended too, with the names of their backends."""
        statement = self.visible(approval_rules, approval_rules, backends.c.name.label("backend"))
        return statement.outerjoin(backends, backends.c.id == approval_rules.c.backend_id)

    async def rule(self, rule_id: UUID) -> Row[Any] | None:
        """One of them."""
        return (await self.uow.execute(self.rules().where(approval_rules.c.id == rule_id))).one_or_none()

    async def add_rule(self, values: dict[str, Any]) -> None:
        """Insert a rule."""
        await self.uow.execute(insert(approval_rules).values(values))

    async def count_rules(self) -> int:
        """How many rules are in force."""
        count: int = (await self.uow.execute(self.visible(approval_rules, func.count()).where(approval_rules.c.ended_at.is_(None)))).scalar_one()
        return count

    async def end_rule(self, rule_id: UUID, user_id: UUID, at: datetime) -> None:
        """End a rule that is in force."""
        statement = self.update(approval_rules).where(approval_rules.c.id == rule_id, approval_rules.c.ended_at.is_(None))
        await self.uow.execute(statement.values(ended_at=at, ended_by=user_id))

    async def forget_rules(self) -> None:
        """Take the rules of an org away that was made in this transaction: nothing was approved by them."""
        await self.uow.execute(self.delete(approval_rules))


def _constants(chosen: Any, values: dict[str, Any]) -> Any:
    columns = [literal(value, model_approvals.c[name].type).label(name) for name, value in values.items()]
    return select(chosen.label("catalog_model_id"), *columns)
