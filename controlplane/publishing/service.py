"""What happens to publications. A model is admitted only while the gateway serves it: on the way in the gateway comes first, on the way out last."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select

from controlplane.authorization import Access
from controlplane.backends.traffic import changed_traffic
from controlplane.errors import Problem
from controlplane.etag import check_version
from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import revoke_keys, rotate_key
from controlplane.publishing import addresses, rules
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.reconciler import ROUTE_STAYS_SECONDS
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.schemas import SIZES, ConfigChange, NewPublicationView, PublicationView, PublishConfig, RateLimiting
from controlplane.publishing.steps import Publishing, problem_of
from controlplane.publishing.targets import find_targets, those_of_now
from controlplane.publishing.tenants import find_tenants
from controlplane.publishing.views import view_of
from controlplane.schema import publications
from ias.context import AdmissionMode
from ias.gateway_views import ChangeKind


async def publish(publisher: Publisher, access: Access, name: str, config: PublishConfig) -> NewPublicationView:
    """Publish a model and make its key (`saga.PUBLISH`); whatever fails on the way, nothing stays. Raises Problem."""
    rules.check_name(name)
    await access.uow.checkpoint()
    async with publisher.reconciler.exclusively():
        api_key = await Publishing(publisher, access, name, config).run()
    return NewPublicationView(**(await get(publisher, access, name)).model_dump(), api_key=api_key)


async def get(publisher: Publisher, access: Access, name: str) -> PublicationView:
    """Show a publication; raise Problem 404."""
    repository = PublicationRepository(access.uow, access.reach)
    if (row := await repository.find(name)) is None:
        raise rules.not_published(name, await repository.last_failure(name))
    usage = await repository.usage_of([row.id])
    return view_of(row, usage.get(row.id), publisher.gateway_url)


async def listing(access: Access, tenant: str | None) -> Select[Any]:
    """Select all publications, or those of one tenant; raise Problem for a tenant that is none."""
    repository = PublicationRepository(access.uow, access.reach)
    if tenant is None:
        return repository.detailed()
    owner, _ = await find_tenants(repository, tenant, None)
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
        if current is None or current.status != "published" or current.status_step is not None:
            raise rules.not_published(name)
        check_version(if_version, current.version, "publication")
        values = await _changed_values(publisher, repository, current, wanted)
        rules.check_metering(
            publisher.metering,
            values.get("model_type", current.model_type),
            current.model,
            values.get("upstream_model", current.upstream_model),
            AdmissionMode(values.get("admission_mode", current.admission_mode)),
        )
        await repository.change(current.id, values)
        access.uow.changed(ChangeKind.PUBLICATION, current.id)
        access.uow.audit(org_id=current.org_id, publication_id=str(current.id))
        try:
            if values.keys() & {"backend_id", "traffic", "external_path", "require_api_key"}:
                # Applied from inside the transaction: extauth learns of it when the gateway has it, and a refusal rolls back.
                await publisher.reconciler.apply(access.uow, [current.model])
            await access.uow.checkpoint()
        except Exception as error:
            publisher.reconciler.wake()
            raise problem_of(error) from error
    return await get(publisher, access, name)


async def _changed_values(publisher: Publisher, repository: PublicationRepository, current: Row[Any], wanted: ConfigChange) -> dict[str, Any]:
    """Return the columns to set, after setting the tenants."""
    given = wanted.model_fields_set
    authentication = wanted.authentication
    if wanted.tenant_id is not None and current.org_id != (await repository.orgs_named([wanted.tenant_id])).get(wanted.tenant_id):
        raise Problem(422, "TENANT_CHANGE", "A publication stays with its tenant: unpublish it, then publish it for the other one.")
    if authentication is not None and authentication.allowed_tenants is not None:
        _, tenant_ids = await find_tenants(repository, str(current.org_id), authentication.allowed_tenants)
        await repository.set_tenants(current.id, tenant_ids)
    values: dict[str, Any] = {}
    if given & {"public_hostname", "external_path"}:
        values |= await _address(repository, current, wanted)
    values |= wanted.model_dump(include=given & set(SIZES))
    if wanted.rate_limiting is not None:
        values |= wanted.rate_limiting.model_dump(exclude_unset=True)
    rules.check_limits({**{name: getattr(current, name) for name in (*RateLimiting.model_fields, *SIZES)}, **values})
    if wanted.traffic is not None:
        values["traffic"] = changed_traffic(current.traffic, wanted.traffic)
    if given & {"backend", "backends", "upstream_model"}:
        upstream_model = wanted.upstream_model or (current.model if "upstream_model" in given else current.upstream_model)
        named = wanted if given & {"backend", "backends"} else await those_of_now(repository, current)
        targets = await find_targets(publisher, repository, named, upstream_model)
        await repository.set_targets(current.id, targets)
        values |= {"backend_id": targets[0].backend.backend_id, "upstream_model": upstream_model}
        _same_protocol(current, wanted, targets[0].backend)
    if wanted.model_type not in {None, current.model_type}:
        values |= {"model_type": wanted.model_type, "model_type_reason": "config.modelType says so"}
    if authentication is not None and "require_api_key" in authentication.model_fields_set:
        values["require_api_key"] = authentication.require_api_key
    rules.check_key(values.get("model_type", current.model_type), values.get("require_api_key", current.require_api_key))
    return values


def _same_protocol(current: Row[Any], wanted: ConfigChange, backend: rules.Candidate) -> None:
    if wanted.model_type is None and backend.kind != current.model_type:
        raise Problem(
            422,
            "INVALID_BACKENDS",
            f"The model is of the type '{current.model_type}', and '{backend.name}' is '{backend.kind}': its clients would speak to it in vain."
            " Give config.modelType if you mean it.",
        )


async def _address(repository: PublicationRepository, current: Row[Any], wanted: ConfigChange) -> dict[str, Any]:
    given = wanted.model_fields_set
    hostname = wanted.public_hostname if "public_hostname" in given else current.public_hostname
    path = (wanted.external_path or rules.default_path(current.model, current.model_type)) if "external_path" in given else current.external_path
    addresses.check_path(path, current.model)
    if hostname != current.public_hostname:
        addresses.check_hostname(hostname, await repository.hostnames_of(current.org_id))
    await repository.check_address(current.model, hostname, path)
    return {"public_hostname": hostname, "external_path": path}


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
    await repository.bury(current.id)
    await revoke_keys(KeyRepository(access.uow, access.reach), await repository.key_ids(current.id))
    access.uow.changed(ChangeKind.PUBLICATION, current.id)
    access.uow.audit(org_id=current.org_id, publication_id=str(current.id))
    await access.uow.checkpoint()
    publisher.reconciler.wake(ROUTE_STAYS_SECONDS)
