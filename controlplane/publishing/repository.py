"""SQL of the publications."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from controlplane.backends.rules import HEALTH_PATHS, as_id
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.publishing.addresses import address_taken, ancestors
from controlplane.publishing.rules import Chosen, already_published
from controlplane.publishing.saga import CANARY_ORG_ID, Step
from controlplane.publishing.tables import publication_standings, publication_targets
from controlplane.repository import Repository, refusing
from controlplane.schema import backends, credentials, keys, ledger, orgs, publication_tenants, publications
from ias.gateway_views import ChangeKind, ModelType

LIVING = publications.c.status != "deleted"
UNFINISHED = or_(publications.c.status == "pending", and_(publications.c.status == "published", publications.c.status_step.is_not(None)))
"""`published` with a step: the data plane sees it, but the canary has not come home."""


class PublicationRepository(Repository):
    """Rows of `publications` and what hangs on them."""

    async def desired_state(self) -> GatewayState:
        """Return what the gateway should serve, everything published or about to be, in one query."""
        own, shared = backends.alias("own"), backends.alias("target")
        query = (
            select(
                publications.c.model,
                publications.c.model_type,
                publications.c.external_path,
                publications.c.require_api_key,
                publications.c.traffic,
                own.c.id.label("own_id"),
                own.c.base_url.label("own_url"),
                own.c.kind.label("own_kind"),
                own.c.is_denied.label("own_denied"),
                own.c.credential.label("own_credential"),
                own.c.traffic.label("own_traffic"),
                shared.c.id.label("target_id"),
                shared.c.base_url.label("target_url"),
                shared.c.kind.label("target_kind"),
                shared.c.is_denied.label("target_denied"),
                shared.c.credential.label("target_credential"),
                shared.c.traffic.label("target_traffic"),
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
                pool = [] if first.own_denied else [_backend(first, "own")]
                weighed = tuple(GatewayTarget(backend.backend_id) for backend in pool)
            else:
                # Envoy connects by itself: it knows no engine that we may not call.
                allowed = [row for row in targets if not row.target_denied]
                pool = [_backend(row, "target") for row in allowed]
                weighed = tuple(GatewayTarget(str(row.target_id), row.weight, row.priority) for row in allowed)
            if pool:
                reached |= set(pool)
                traffic, path = GatewayTraffic(**first.traffic), first.external_path or ""
                routes.append(GatewayRoute(model, weighed, traffic, path, first.require_api_key, first.model_type))
        return GatewayState(backends=tuple(sorted(reached)), routes=tuple(routes))

    async def add(self, values: Mapping[str, Any], targets: Sequence[Chosen], step: Step) -> None:
        """Insert a pending publication with its targets; raises Problem when a living one has the name."""
        with refusing("publications_model", already_published(values["model"])):
            await self.uow.execute(insert(publications).values(**values, status="pending", status_step=step.value))
        await self.set_targets(values["id"], targets)

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

    async def note(self, publication_id: UUID, step: Step | None, values: Mapping[str, Any]) -> bool:
        """Note the step that an unfinished publication has come to, None: it is finished; False when it is not there any more."""
        query = self.update(publications).where(publications.c.id == publication_id, UNFINISHED)
        return (await self.uow.execute(query.values(status_step=None if step is None else step.value, **values))).rowcount == 1

    async def lock_unfinished(self, publication_id: UUID) -> Row[Any] | None:
        """Return a publication that never became published, locked."""
        query = self.visible(publications).where(publications.c.id == publication_id, UNFINISHED).with_for_update()
        return (await self.uow.execute(query)).one_or_none()

    async def unfinished_ids(self) -> Sequence[UUID]:
        """Return the publications that are on their way, or were left behind on it."""
        return (await self.uow.execute(self.visible(publications, publications.c.id).where(UNFINISHED))).scalars().all()

    async def bury(self, publication_id: UUID, **values: Any) -> None:
        """Make a tombstone of a publication: nobody may use it, it goes nowhere."""
        await self.uow.execute(self.update(publications).where(publications.c.id == publication_id).values(status="deleted", **values))
        await self.remove_tenants(publication_id)
        await self.uow.execute(delete(publication_targets).where(publication_targets.c.publication_id == publication_id))

    async def last_failure(self, model: str) -> Row[Any] | None:
        """Return why a name is not published, when the last attempt at it failed."""
        query = self.visible(publications).where(publications.c.model == model).order_by(publications.c.id.desc()).limit(1)
        row = (await self.uow.execute(query)).one_or_none()
        return row if row is not None and row.status == "deleted" and row.status_step is not None else None

    async def orphaned_key_ids(self) -> Sequence[UUID]:
        """Return usable keys of publications that are gone."""
        gone = self.visible(publications, publications.c.id).where(~LIVING)
        query = self.visible(keys, keys.c.id).where(keys.c.status != "revoked", keys.c.publication_id.in_(gone))
        return (await self.uow.execute(query)).scalars().all()

    async def lock(self, model: str) -> Row[Any] | None:
        """Return the living publication of a name, locked, without what hangs on it."""
        query = self.visible(publications).where(LIVING, publications.c.model == model).with_for_update()
        return (await self.uow.execute(query)).one_or_none()

    async def add_tenant(self, publication_id: UUID, org_id: UUID) -> None:
        """Let one more org use a publication."""
        await self.uow.execute(insert(publication_tenants).values(publication_id=publication_id, org_id=org_id).on_conflict_do_nothing())

    async def remove_tenants(self, publication_id: UUID, org_id: UUID | None = None) -> None:
        """Take the use of a publication from one org, or from all."""
        query = delete(publication_tenants).where(publication_tenants.c.publication_id == publication_id)
        await self.uow.execute(query if org_id is None else query.where(publication_tenants.c.org_id == org_id))

    async def keep_org(self, org_id: UUID, slug: str, name: str) -> None:
        """Make sure that an org of the service's own is there and active."""
        made = insert(orgs).values(id=org_id, slug=slug, name=name)
        active = {"status": "active", "purge_at": None}
        kept = made.on_conflict_do_update(index_elements=["id"], set_=active, where=orgs.c.status != "active")
        if (await self.uow.execute(kept)).rowcount:
            self.uow.changed(ChangeKind.ORG, org_id)

    async def quota_of(self, org_id: UUID) -> tuple[int | None, int]:
        """Return how many publications an org may have, None: as the setting says, and how many it has."""
        used = self.visible(publications, func.count()).where(publications.c.org_id == org_id, LIVING).select_from(publications).scalar_subquery()
        row = (await self.uow.execute(self.visible(orgs, orgs.c.max_publications, used.label("used")).where(orgs.c.id == org_id))).one()
        return row.max_publications, row.used

    async def hostnames_of(self, org_id: UUID) -> list[str] | None:
        """Return the hostnames that an org may use; None: all."""
        hostnames: list[str] | None = (await self.uow.execute(self.visible(orgs, orgs.c.hostnames).where(orgs.c.id == org_id))).scalar_one()
        return hostnames

    async def allow(self, org_id: UUID, max_publications: int | None, hostnames: Sequence[str] | None) -> None:
        """Set what an org may publish."""
        values = {"max_publications": max_publications, "hostnames": None if hostnames is None else sorted(set(hostnames))}
        await self.uow.execute(self.update(orgs).where(orgs.c.id == org_id).values(values))

    async def check_address(self, model: str, hostname: str | None, path: str) -> None:
        """Raise Problem when another living publication has the address, or one would lie inside of the other. Only under the gateway's lock."""
        path_of = publications.c.external_path
        nested = or_(path_of == path, path_of.in_(ancestors(path)), path_of.startswith(f"{path}/", autoescape=True))
        query = select(publications.c.model).where(LIVING, publications.c.model != model, nested)
        if hostname is not None:
            query = query.where(or_(publications.c.public_hostname.is_(None), publications.c.public_hostname == hostname))
        if (other := (await self.uow.execute(query.limit(1))).scalar()) is not None:
            raise address_taken(path, hostname, other)

    async def tenant_ids(self, publication_id: UUID) -> Sequence[UUID]:
        """Return the orgs that may use a publication."""
        query = select(publication_tenants.c.org_id).where(publication_tenants.c.publication_id == publication_id)
        return (await self.uow.execute(query)).scalars().all()

    async def key_ids(self, publication_id: UUID, org_id: UUID | None = None) -> Sequence[UUID]:
        """Return the publication's own keys that are not revoked, or those of one org."""
        query = self.visible(keys, keys.c.id).where(keys.c.publication_id == publication_id, keys.c.status != "revoked")
        return (await self.uow.execute(query if org_id is None else query.where(keys.c.org_id == org_id))).scalars().all()

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
                            *("name", backends.c.name, "health", backends.c.health, "health_reason", backends.c.health_reason),
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
                first.c.health_reason.label("backend_health_reason"),
                targets.label("targets"),
                tenants.label("tenant_slugs"),
                hint.label("key_hint"),
                publication_standings.c.state.label("gateway_state"),
                publication_standings.c.reason.label("gateway_reason"),
            )
            .outerjoin(publication_standings, publication_standings.c.publication_id == publications.c.id)
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
            .where(ledger.c.publication_id.in_(publication_ids), ledger.c.org_id != CANARY_ORG_ID)
            .group_by(ledger.c.publication_id)
        )
        return {row.publication_id: row for row in (await self.uow.execute(query)).all()}


def _backend(row: Row[Any], name: str) -> GatewayBackend:
    """Make the backend whose columns have this name before their own."""
    backend_id, url, kind, credential, traffic = (getattr(row, f"{name}_{column}") for column in ("id", "url", "kind", "credential", "traffic"))
    return GatewayBackend(str(backend_id), url, HEALTH_PATHS[ModelType(kind)], credential or "", traffic=GatewayTraffic(**traffic))
