"""SQL of the publications."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from controlplane.backends.rules import as_id
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.publishing.rules import Chosen, already_published
from controlplane.publishing.tables import publication_targets
from controlplane.repository import Repository, refusing
from controlplane.schema import backends, credentials, keys, ledger, orgs, publication_tenants, publications

LIVING = publications.c.status != "deleted"


class PublicationRepository(Repository):
    """Rows of `publications` and what hangs on them."""

    async def desired_state(self) -> GatewayState:
        """Return what the gateway should serve, everything published or about to be, in one query."""
        own, shared = backends.alias("own"), backends.alias("target")
        query = (
            select(
                publications.c.model,
                publications.c.external_path,
                publications.c.require_api_key,
                publications.c.traffic,
                own.c.id.label("own_id"),
                own.c.base_url.label("own_url"),
                shared.c.id.label("target_id"),
                shared.c.base_url.label("target_url"),
                publication_targets.c.weight,
                publication_targets.c.priority,
            )
            .join(own, own.c.id == publications.c.backend_id)
            .outerjoin(publication_targets, publication_targets.c.publication_id == publications.c.id)
            .outerjoin(shared, shared.c.id == publication_targets.c.backend_id)
            .where(publications.c.status.in_(["pending", "published"]))
            .order_by(publications.c.model, publication_targets.c.priority, publication_targets.c.backend_id)
        )
        rows = (await self.uow.execute(query)).all()
        reached: set[GatewayBackend] = set()
        routes = []
        for model, group in groupby(rows, key=attrgetter("model")):
            targets = list(group)
            first = targets[0]
            if all(row.target_id != first.own_id for row in targets):
                # Published or moved by the version before, which knows one backend only.
                reached.add(GatewayBackend(str(first.own_id), first.own_url))
                weighed: tuple[GatewayTarget, ...] = (GatewayTarget(str(first.own_id)),)
            else:
                reached |= {GatewayBackend(str(row.target_id), row.target_url) for row in targets}
                weighed = tuple(GatewayTarget(str(row.target_id), row.weight, row.priority) for row in targets)
            routes.append(GatewayRoute(model, weighed, GatewayTraffic(**first.traffic), first.external_path or "", first.require_api_key))
        return GatewayState(backends=tuple(sorted(reached)), routes=tuple(routes))

    async def add(self, values: Mapping[str, Any], targets: Sequence[Chosen], tenant_ids: Collection[UUID]) -> None:
        """Insert a pending publication; raises Problem when a living one has the name."""
        with refusing("publications_model", already_published(values["model"])):
            await self.uow.execute(insert(publications).values(**values, status="pending"))
        await self.set_targets(values["id"], targets)
        await self.set_tenants(values["id"], tenant_ids)

    async def set_targets(self, publication_id: UUID, targets: Sequence[Chosen]) -> None:
        """Make exactly these backends the ones that a publication goes to. `publications.backend_id` must be the first of them."""
        await self.uow.execute(delete(publication_targets).where(publication_targets.c.publication_id == publication_id))
        rows = [
            {"publication_id": publication_id, "backend_id": target.backend.backend_id, "weight": target.weight, "priority": target.priority}
            for target in targets
        ]
        await self.uow.execute(insert(publication_targets).values(rows))

    async def set_tenants(self, publication_id: UUID, tenant_ids: Collection[UUID]) -> None:
        """Make exactly these orgs the ones that may use a publication."""
        await self.uow.execute(delete(publication_tenants).where(publication_tenants.c.publication_id == publication_id))
        await self.uow.execute(insert(publication_tenants).values([{"publication_id": publication_id, "org_id": org_id} for org_id in tenant_ids]))

    async def targets(self, publication_id: UUID) -> Sequence[Row[Any]]:
        """Return backend, weight and priority of a publication's targets; nothing where the version before wrote it."""
        return (await self.uow.execute(select(publication_targets).where(publication_targets.c.publication_id == publication_id))).all()

    async def change(self, publication_id: UUID, values: Mapping[str, Any]) -> None:
        """Change a publication and count its version up."""
        query = self.update(publications).where(publications.c.id == publication_id)
        await self.uow.execute(query.values(**values, version=publications.c.version + 1))

    async def leave_pending(self, publication_id: UUID, status: str, reason: str | None = None) -> bool:
        """Make a pending publication `published` or `deleted`; False when it is not pending any more."""
        query = self.update(publications).where(publications.c.id == publication_id, publications.c.status == "pending")
        return (await self.uow.execute(query.values(status=status, status_reason=reason))).rowcount == 1

    async def pending_ids(self) -> Sequence[UUID]:
        """Return the publications that wait for the gateway."""
        query = self.visible(publications, publications.c.id).where(publications.c.status == "pending")
        return (await self.uow.execute(query)).scalars().all()

    async def lock(self, model: str) -> Row[Any] | None:
        """Return the living publication of a name, locked, without what hangs on it."""
        query = self.visible(publications).where(LIVING, publications.c.model == model).with_for_update()
        return (await self.uow.execute(query)).one_or_none()

    async def tenant_ids(self, publication_id: UUID) -> Sequence[UUID]:
        """Return the orgs that may use a publication."""
        query = select(publication_tenants.c.org_id).where(publication_tenants.c.publication_id == publication_id)
        return (await self.uow.execute(query)).scalars().all()

    async def key_ids(self, publication_id: UUID) -> Sequence[UUID]:
        """Return the publication's own keys that are not revoked."""
        query = self.visible(keys, keys.c.id).where(keys.c.publication_id == publication_id, keys.c.status != "revoked")
        return (await self.uow.execute(query)).scalars().all()

    async def orgs_named(self, names: Collection[str]) -> dict[str, UUID]:
        """Return the ids of the living orgs among the names, each of which is a slug or an id."""
        ids = {parsed: name for name in names if (parsed := as_id(name)) is not None}
        query = self.visible(orgs, orgs.c.id, orgs.c.slug).where(orgs.c.status != "deleted", or_(orgs.c.slug.in_(names), orgs.c.id.in_(ids)))
        rows = (await self.uow.execute(query)).all()
        return {row.slug: row.id for row in rows if row.slug in names} | {ids[row.id]: row.id for row in rows if row.id in ids}

    async def candidates(self, backend: str | None, upstream_model: str) -> Sequence[Row[Any]]:
        """Return the living backends to choose from: the one that is named, else those that told of the model.

        The rows are locked against deletion until the publication that refers to one of them is there.
        """
        query = select(backends).where(backends.c.status != "deleted").with_for_update(read=True)
        if backend is None:
            return (await self.uow.execute(query.where(backends.c.models.contains([upstream_model])))).all()
        return (await self.uow.execute(query.where(or_(backends.c.name == backend, backends.c.id == as_id(backend))))).all()

    async def named(self, names: Collection[str]) -> dict[str, Row[Any]]:
        """Return the living backends among the names, each of which is a name or an id; locked as in `candidates`."""
        ids = {parsed: name for name in names if (parsed := as_id(name)) is not None}
        query = select(backends).where(backends.c.status != "deleted", or_(backends.c.name.in_(names), backends.c.id.in_(ids)))
        rows = (await self.uow.execute(query.with_for_update(read=True))).all()
        return {row.name: row for row in rows if row.name in names} | {ids[row.id]: row for row in rows if row.id in ids}

    async def find(self, model: str) -> Row[Any] | None:
        """Return the living publication of a name with what belongs to it."""
        return (await self.uow.execute(self.detailed(publications.c.model == model))).one_or_none()

    def detailed(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Select living publications with slugs of tenants, name and health of the backend, and the hint of the key."""
        tenants = (
            select(func.array_agg(aggregate_order_by(orgs.c.slug, orgs.c.slug)))
            .join(publication_tenants, publication_tenants.c.org_id == orgs.c.id)
            .where(publication_tenants.c.publication_id == publications.c.id)
            .scalar_subquery()
        )
        hint = (
            select(credentials.c.hint)
            .join(keys, keys.c.id == credentials.c.key_id)
            .where(keys.c.publication_id == publications.c.id, keys.c.status != "revoked", credentials.c.revoked_at.is_(None))
            .order_by(credentials.c.created_at.desc())
            .limit(1)
            .scalar_subquery()
        )
        targets = (
            select(
                func.jsonb_agg(
                    aggregate_order_by(
                        func.jsonb_build_object(
                            *("name", backends.c.name, "health", backends.c.health),
                            *("weight", publication_targets.c.weight, "priority", publication_targets.c.priority),
                        ),
                        publication_targets.c.priority,
                        publication_targets.c.weight.desc(),
                        backends.c.name,
                    )
                )
            )
            .join(publication_targets, publication_targets.c.backend_id == backends.c.id)
            .where(publication_targets.c.publication_id == publications.c.id)
            .scalar_subquery()
        )
        owner, first = orgs.alias("owner"), backends.alias("first")
        return (
            self.visible(
                publications,
                publications,
                owner.c.slug.label("tenant_slug"),
                first.c.name.label("backend_name"),
                first.c.health.label("backend_health"),
                targets.label("targets"),
                tenants.label("tenant_slugs"),
                hint.label("key_hint"),
            )
            .join(owner, owner.c.id == publications.c.org_id)
            .join(first, first.c.id == publications.c.backend_id)
            .where(LIVING, *conditions)
        )

    async def usage_of(self, publication_ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
        """Return requests, tokens and last access from the ledger; nothing for a publication that was never used."""
        today = func.date_trunc("day", func.now(), "UTC")
        query = (
            select(
                ledger.c.publication_id,
                func.count().label("total_requests"),
                func.count().filter(ledger.c.admitted_at >= today).label("requests_today"),
                func.sum(ledger.c.input_tokens + ledger.c.output_tokens).label("tokens_used"),
                func.max(ledger.c.admitted_at).label("last_access_time"),
            )
            .where(ledger.c.publication_id.in_(publication_ids))
            .group_by(ledger.c.publication_id)
        )
        return {row.publication_id: row for row in (await self.uow.execute(query)).all()}
