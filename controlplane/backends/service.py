"""What happens to backends by people: registered, changed, probed, removed. What happens by itself is in `probing.py`."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from controlplane import errors
from controlplane.authorization import Access
from controlplane.backends.credentials import CredentialFolder, CredentialUnusable
from controlplane.backends.ports import Probe, Probing
from controlplane.backends.references import stored_reference
from controlplane.backends.repository import BackendRepository, probe_of
from controlplane.backends.rules import Verdict
from controlplane.backends.schemas import ChangeBackend, RegisterBackend
from controlplane.backends.traffic import Traffic, changed_traffic, stored_traffic
from controlplane.catalog.rules import Discovery
from controlplane.catalog.service import discover
from controlplane.egress.ports import Egress, EgressDenied
from controlplane.errors import Problem
from controlplane.ids import new_id


async def register(access: Access, probing: Probing, body: RegisterBackend) -> Row[Any]:
    """Register an engine, whatever its health.

    Raises:
        Problem: 422 for one whose address may not be called; 409 for an object of the cluster that tells no address yet.
    """
    await access.uow.checkpoint()
    at = datetime.now(UTC)
    reference = body.kubernetes.reference() if body.kubernetes else None
    verdict = await probing.prober.probe(Probe(body.base_url or "", credential=body.credential, reference=reference))
    if verdict.is_denied:
        raise Problem(422, "egress_denied", verdict.reason)
    base_url = body.base_url or verdict.base_url
    if not base_url:
        raise Problem(409, "MODEL_NOT_READY", f"It can be registered when it has an address: {verdict.reason}.")
    backend_id = new_id()
    repository = BackendRepository(access.uow, access.reach)
    given = body.model_dump(exclude={"traffic", "kubernetes", "base_url"})
    stored = {"traffic": stored_traffic(body.traffic or Traffic()), "kubernetes": stored_reference(reference), "base_url": base_url}
    await repository.add({"id": backend_id, **given, **stored})
    await repository.record(backend_id, verdict, at, probing.thresholds)
    await discover(access.uow, backend_id, verdict.told or (), at)
    access.uow.audit(backend_id=str(backend_id))
    return await find(access, str(backend_id))


async def change(access: Access, probing: Probing, credentials: CredentialFolder, id_or_name: str, body: ChangeBackend) -> Row[Any]:
    """Change how a backend is probed and shown our credential, and probe it; what is not given stays.

    Raises:
        Problem: 404; 422 for a credential that cannot be read while a publication needs it.
    """
    backend = await find(access, id_or_name)
    repository = BackendRepository(access.uow, access.reach)
    if await repository.in_use(backend.id):
        check_credential(credentials, body.credential)
    values = body.model_dump(exclude_unset=True)
    if "traffic" in values:
        values["traffic"] = changed_traffic(backend.traffic, body.traffic) if body.traffic else {}
    await repository.change(backend.id, values)
    return await check(access, probing, str(backend.id))


async def check_address(egress: Egress, base_url: str) -> None:
    """Raise Problem 422 for an engine whose address may not be called now: names change their addresses."""
    try:
        await egress.check(base_url)
    except EgressDenied as denial:
        raise Problem(422, "egress_denied", str(denial)) from None


def check_credential(credentials: CredentialFolder, name: str | None) -> None:
    """Raise Problem 422 for a credential that cannot be read now; None is none."""
    try:
        credentials.header(name)
    except CredentialUnusable as problem:
        raise Problem(422, "credential_unusable", f"{str(problem)[0].upper()}{str(problem)[1:]}.") from None


async def find(access: Access, id_or_name: str) -> Row[Any]:
    """Return a backend; raise Problem 404."""
    if (backend := await BackendRepository(access.uow, access.reach).find(id_or_name)) is None:
        raise errors.not_found("backend")
    return backend


async def check(access: Access, probing: Probing, id_or_name: str) -> Row[Any]:
    """Probe a backend now, and take what it tells into the catalog. A person asks: what this probe says is its health."""
    backend, _, _ = await _probe(access, probing, id_or_name)
    return await find(access, str(backend.id))


async def discover_now(access: Access, probing: Probing, id_or_name: str) -> tuple[Verdict, Discovery | None]:
    """Have the catalog hold what a backend tells now; None: it does not tell, or is not well, and the catalog is as it was."""
    _, verdict, found = await _probe(access, probing, id_or_name)
    return verdict, found


async def _probe(access: Access, probing: Probing, id_or_name: str) -> tuple[Row[Any], Verdict, Discovery | None]:
    backend = await find(access, id_or_name)
    await access.uow.checkpoint()
    at = datetime.now(UTC)
    verdict = await probing.prober.probe(probe_of(backend))
    await BackendRepository(access.uow, access.reach).record(backend.id, verdict, at, probing.thresholds, decides=True)
    found = None if verdict.told_in_health is None else await discover(access.uow, backend.id, verdict.told_in_health, at)
    access.uow.audit(backend_id=str(backend.id))
    return backend, verdict, found


async def remove(access: Access, id_or_name: str) -> None:
    """Remove a backend; raise Problem 409 while a publication uses it."""
    repository = BackendRepository(access.uow, access.reach)
    if (backend := await repository.find(id_or_name, for_update=True)) is None:
        raise errors.not_found("backend")
    if await repository.in_use(backend.id):
        raise Problem(409, "backend_in_use", f"Published models use the backend '{backend.name}': unpublish or move them first.")
    await repository.remove(backend.id)
    access.uow.audit(backend_id=str(backend.id))
