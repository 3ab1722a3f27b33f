"""What happens to backends: registered, probed, removed."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import errors
from controlplane.authorization import Access
from controlplane.backends.ports import Prober
from controlplane.backends.repository import BackendRepository
from controlplane.backends.rules import Verdict
from controlplane.backends.schemas import RegisterBackend
from controlplane.catalog.rules import Discovery
from controlplane.catalog.service import Discoverer, discover
from controlplane.egress.ports import Egress, EgressDenied
from controlplane.errors import Problem
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs

PROBES_AT_ONCE = 16

log = logs.get(__name__)


async def register(access: Access, prober: Prober, body: RegisterBackend) -> Row[Any]:
    """Register an engine, whatever its health; raise Problem 422 for one whose address may not be called."""
    await access.uow.checkpoint()
    at = datetime.now(UTC)
    verdict = await prober.probe(body.base_url)
    if verdict.is_denied:
        raise Problem(422, "egress_denied", verdict.reason)
    backend_id = new_id()
    await BackendRepository(access.uow, access.reach).add(backend_id, body.name, body.base_url, verdict, at)
    await discover(access.uow, backend_id, verdict.told or (), at)
    access.uow.audit(backend_id=str(backend_id))
    return await find(access, str(backend_id))


async def check_address(egress: Egress, base_url: str) -> None:
    """Raise Problem 422 for an engine whose address may not be called now: names change their addresses."""
    try:
        await egress.check(base_url)
    except EgressDenied as denial:
        raise Problem(422, "egress_denied", str(denial)) from None


async def find(access: Access, id_or_name: str) -> Row[Any]:
    """Return a backend; raise Problem 404."""
    if (backend := await BackendRepository(access.uow, access.reach).find(id_or_name)) is None:
        raise errors.not_found("backend")
    return backend


async def check(access: Access, prober: Prober, id_or_name: str) -> Row[Any]:
    """Probe a backend now, and take what it tells into the catalog."""
    backend, _, _ = await _probe(access, prober, id_or_name)
    return await find(access, str(backend.id))


async def discover_now(access: Access, prober: Prober, id_or_name: str) -> tuple[Verdict, Discovery | None]:
    """Have the catalog hold what a backend tells now; None: it does not tell, or is not well, and the catalog is as it was."""
    _, verdict, found = await _probe(access, prober, id_or_name)
    return verdict, found


async def _probe(access: Access, prober: Prober, id_or_name: str) -> tuple[Row[Any], Verdict, Discovery | None]:
    backend = await find(access, id_or_name)
    await access.uow.checkpoint()
    at = datetime.now(UTC)
    verdict = await prober.probe(backend.base_url)
    await BackendRepository(access.uow, access.reach).record(backend.id, verdict, at)
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


async def probe_forever(engine: AsyncEngine, prober: Prober, interval_seconds: float) -> None:
    """Probe all backends at an interval; ends by cancellation. A database that is down is waited for."""
    discoverer = Discoverer()
    while True:
        try:
            await probe_all(engine, prober, discoverer)
        except Exception:
            log.exception("backends were not probed", retry_in_seconds=interval_seconds)
        await asyncio.sleep(interval_seconds)


async def probe_all(engine: AsyncEngine, prober: Prober, discoverer: Discoverer) -> None:
    """Probe all backends once, keep the results, and have the catalog follow what they tell."""
    async with unit_of_work(engine) as uow:
        backends = await BackendRepository(uow, EVERYTHING).every()
    slots = asyncio.Semaphore(PROBES_AT_ONCE)

    async def probe(backend_id: UUID, base_url: str, before: str) -> None:
        async with slots:
            at = datetime.now(UTC)
            verdict = await prober.probe(base_url)
        if verdict.health != before:
            log.info("backend health changed", backend_id=str(backend_id), base_url=base_url, health=verdict.health.value, reason=verdict.reason)
        async with unit_of_work(engine) as uow:
            await BackendRepository(uow, EVERYTHING).record(backend_id, verdict, at)
        await discoverer.take(engine, backend_id, verdict.told_in_health, at)

    async with asyncio.TaskGroup() as group:
        for backend in backends:
            group.create_task(probe(backend.id, backend.base_url, backend.health))
