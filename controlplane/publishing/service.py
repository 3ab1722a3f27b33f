"""What happens to publications. A model is admitted only while the gateway serves it: on the way in the gateway comes first, on the way out last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select

from controlplane.accounts.service import service_identity
from controlplane.authorization import Access
from controlplane.egress.ports import Egress
from controlplane.errors import Problem
from controlplane.etag import check_version
from controlplane.gateway.bootstrap import Metering
from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.keys.rules import KeyRules
from controlplane.keys.service import NewKey, create_key, revoke_keys, rotate_key
from controlplane.publishing import rules
from controlplane.publishing.reconciler import Reconciler
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.schemas import ConfigChange, NewPublicationView, PublicationView, PublishConfig, RateLimiting, Traffic
from controlplane.publishing.targets import find_targets, those_of_now
from controlplane.publishing.views import stored_traffic, traffic_of, view_of
from controlplane.schema import publications
from ias.context import AdmissionMode
from ias.gateway_views import ChangeKind

ROUTE_STAYS_SECONDS = 1.0
"""After a model was unpublished: twice the interval at which extauth polls, so that no admitted request loses its route."""

_SIZES = ("context_tokens", "output_cap", "continuous_usage")
"""What a configuration says about the engine's requests."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing needs beside its access."""

    reconciler: Reconciler
    key_rules: KeyRules
    egress: Egress
    """Envoy connects to engines, too: it is sent to none that we may not call."""
    gateway_url: str
    """Where clients reach the gateway."""
    metering: Metering = "inline"
    """What the gateway can do with requests."""


async def publish(publisher: Publisher, access: Access, name: str, config: PublishConfig) -> NewPublicationView:
    """Publish a model and make its key; whatever fails on the way, nothing stays."""
    rules.check_name(name)
    rules.check_kind(config.model_type, config.authentication.require_api_key)
    await access.uow.checkpoint()
    async with publisher.reconciler.exclusively():
        publication_id, api_key = await _prepare(publisher, access, name, config)
        await access.uow.checkpoint()
        try:
            await publisher.reconciler.apply(access.uow)
        except Exception as error:
            await access.uow.checkpoint()
            await publisher.reconciler.undo(publication_id, str(error))
            raise _gateway_problem(error) from error
        if not await PublicationRepository(access.uow, access.reach).leave_pending(publication_id, "published"):
            raise Problem(409, "MODEL_NOT_FOUND", f"The model '{name}' was unpublished while it was being published.")
        access.uow.changed(ChangeKind.PUBLICATION, publication_id)
        await access.uow.checkpoint()
    return NewPublicationView(**(await get(publisher, access, name)).model_dump(), api_key=api_key)


async def _prepare(publisher: Publisher, access: Access, name: str, config: PublishConfig) -> tuple[UUID, str]:
    """Insert the pending publication with its tenants and its key; return its id and the key."""
    repository = PublicationRepository(access.uow, access.reach)
    if await repository.lock(name) is not None:
        raise rules.already_published(name)
    held = config.rate_limiting.model_dump() | config.model_dump(include=set(_SIZES))
    if "admission_mode" not in config.rate_limiting.model_fields_set:
        held["admission_mode"] = rules.default_mode(publisher.metering)
    rules.check_limits(held)
    org_id, tenant_ids = await _tenants(repository, config.tenant_id, config.authentication.allowed_tenants)
    upstream_model = config.upstream_model or name
    rules.check_metering(publisher.metering, name, upstream_model, held["admission_mode"])
    targets = await find_targets(publisher.egress, repository, config, upstream_model)
    publication_id = new_id()
    values = {
        "id": publication_id,
        "model": name,
        "org_id": org_id,
        "model_type": targets[0].backend.kind,
        "public_hostname": config.public_hostname,
        "external_path": config.external_path or rules.default_path(name),
        "upstream_model": upstream_model,
        "backend_id": targets[0].backend.backend_id,
        "traffic": stored_traffic(config.traffic),
        **held,
    }
    await repository.add(values, targets, tenant_ids)
    wish = NewKey(f"publication {name}"[:100], allowed_models=[name], publication_id=publication_id, created_by=access.user_id)
    key_id, api_key = await create_key(access.uow, org_id, await service_identity(access.uow, org_id), wish, publisher.key_rules)
    access.uow.audit(org_id=org_id, publication_id=str(publication_id), key_id=str(key_id), backends=[target.backend.name for target in targets])
    return publication_id, api_key.text


async def get(publisher: Publisher, access: Access, name: str) -> PublicationView:
    """Show a publication; raise Problem 404."""
    repository = PublicationRepository(access.uow, access.reach)
    if (row := await repository.find(name)) is None:
        raise rules.not_published(name)
    usage = await repository.usage_of([row.id])
    return view_of(row, usage.get(row.id), publisher.gateway_url)


async def listing(access: Access, tenant: str | None) -> Select[Any]:
    """Select all publications, or those of one tenant; raise Problem for a tenant that is none."""
    repository = PublicationRepository(access.uow, access.reach)
    if tenant is None:
        return repository.detailed()
    owner, _ = await _tenants(repository, tenant, None)
    return repository.detailed(publications.c.org_id == owner)


async def views(publisher: Publisher, access: Access, rows: Sequence[Row[Any]]) -> list[PublicationView]:
    """Make the views of some publications, with one look into the ledger."""
    usage = await PublicationRepository(access.uow, access.reach).usage_of([row.id for row in rows])
    return [view_of(row, usage.get(row.id), publisher.gateway_url) for row in rows]


async def change(publisher: Publisher, access: Access, name: str, wanted: ConfigChange, if_version: int | None) -> PublicationView:
    """Change what is given; requests go on meanwhile. A refusal of the gateway leaves all as it was."""
    await access.uow.checkpoint()
    async with publisher.reconciler.exclusively():
        repository = PublicationRepository(access.uow, access.reach)
        current = await repository.lock(name)
        if current is None or current.status != "published":
            raise rules.not_published(name)
        check_version(if_version, current.version, "publication")
        values = await _changed_values(publisher, repository, current, wanted)
        rules.check_metering(
            publisher.metering,
            current.model,
            values.get("upstream_model", current.upstream_model),
            AdmissionMode(values.get("admission_mode", current.admission_mode)),
        )
        await repository.change(current.id, values)
        access.uow.changed(ChangeKind.PUBLICATION, current.id)
        access.uow.audit(org_id=current.org_id, publication_id=str(current.id))
        if values.keys() & {"backend_id", "traffic"}:
            # Applied from inside the transaction: extauth learns of another engine when the gateway has made it, and a refusal rolls back.
            try:
                await publisher.reconciler.apply(access.uow)
            except Exception as error:
                publisher.reconciler.wake()
                raise _gateway_problem(error) from error
        await access.uow.checkpoint()
    return await get(publisher, access, name)


async def _changed_values(publisher: Publisher, repository: PublicationRepository, current: Row[Any], wanted: ConfigChange) -> dict[str, Any]:
    """Return the columns to set, after setting the tenants."""
    given = wanted.model_fields_set
    authentication = wanted.authentication
    rules.check_kind(wanted.model_type, authentication is None or authentication.require_api_key)
    if wanted.tenant_id is not None and current.org_id != (await repository.orgs_named([wanted.tenant_id])).get(wanted.tenant_id):
        raise Problem(422, "TENANT_CHANGE", "A publication stays with its tenant: unpublish it, then publish it for the other one.")
    if authentication is not None and authentication.allowed_tenants is not None:
        _, tenant_ids = await _tenants(repository, str(current.org_id), authentication.allowed_tenants)
        await repository.set_tenants(current.id, tenant_ids)
    values: dict[str, Any] = {}
    if "public_hostname" in given:
        values["public_hostname"] = wanted.public_hostname
    if "external_path" in given:
        values["external_path"] = wanted.external_path or rules.default_path(current.model)
    values |= wanted.model_dump(include=given & set(_SIZES))
    if wanted.rate_limiting is not None:
        values |= wanted.rate_limiting.model_dump(exclude_unset=True)
    rules.check_limits({**{name: getattr(current, name) for name in (*RateLimiting.model_fields, *_SIZES)}, **values})
    if wanted.traffic is not None:
        values["traffic"] = stored_traffic(Traffic(**{**traffic_of(current.traffic).model_dump(), **wanted.traffic.model_dump(exclude_unset=True)}))
    if given & {"backend", "backends", "upstream_model"}:
        upstream_model = wanted.upstream_model or (current.model if "upstream_model" in given else current.upstream_model)
        named = wanted if given & {"backend", "backends"} else await those_of_now(repository, current)
        targets = await find_targets(publisher.egress, repository, named, upstream_model)
        await repository.set_targets(current.id, targets)
        values |= {"backend_id": targets[0].backend.backend_id, "upstream_model": upstream_model}
    return values


async def rotate_publication_key(publisher: Publisher, access: Access, name: str, overlap: timedelta) -> NewPublicationView:
    """Give the publication's key a new secret; the one before stays valid for the overlap. Raises Problem 404."""
    repository = PublicationRepository(access.uow, access.reach)
    current = await repository.lock(name)
    if current is None or not (key_ids := await repository.key_ids(current.id)):
        raise rules.not_published(name)
    keys = KeyRepository(access.uow, access.reach)
    if (key := await keys.lock(key_ids[0])) is None or key.status == "revoked":
        raise rules.not_published(name)
    api_key = await rotate_key(keys, key, overlap, publisher.key_rules)
    access.uow.audit(org_id=current.org_id, publication_id=str(current.id), key_id=str(key.id))
    return NewPublicationView(**(await get(publisher, access, name)).model_dump(), api_key=api_key.text)


async def unpublish(publisher: Publisher, access: Access, name: str) -> None:
    """Stop admitting requests and revoke the publication's key; then the route leaves the gateway. Running answers end normally."""
    repository = PublicationRepository(access.uow, access.reach)
    if (current := await repository.lock(name)) is None:
        raise rules.not_published(name)
    await access.uow.execute(repository.update(publications).where(publications.c.id == current.id).values(status="deleted"))
    await revoke_keys(KeyRepository(access.uow, access.reach), await repository.key_ids(current.id))
    access.uow.changed(ChangeKind.PUBLICATION, current.id)
    access.uow.audit(org_id=current.org_id, publication_id=str(current.id))
    await access.uow.checkpoint()
    publisher.reconciler.wake(ROUTE_STAYS_SECONDS)


async def _tenants(repository: PublicationRepository, owner: str, allowed: Sequence[str] | None) -> tuple[UUID, set[UUID]]:
    """Return the owner's id and those of all who may call; raise Problem for names that are none."""
    names = {owner, *(allowed or [])}
    found = await repository.orgs_named(names)
    if unknown := sorted(names - found.keys()):
        raise Problem(404, "INVALID_TENANT", f"There is no tenant {', '.join(repr(name) for name in unknown[:5])}. Make it with POST /api/org.")
    tenant_ids = {found[name] for name in allowed or [owner]}
    if found[owner] not in tenant_ids:
        raise Problem(422, "INVALID_TENANT", "authentication.allowedTenants must hold the tenant itself: the publication's key belongs to it.")
    return found[owner], tenant_ids


def _gateway_problem(error: Exception) -> Exception:
    if isinstance(error, GatewayRejected):
        return Problem(502, "GATEWAY_REJECTED", f"The gateway refused the configuration, nothing was changed: {error}")
    if isinstance(error, GatewayUnreachable):
        return Problem(503, "GATEWAY_UNREACHABLE", f"The gateway did not confirm, nothing was changed: {error}", headers={"retry-after": "5"})
    return error
