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
from controlplane.backends.schemas import RegisterBackend
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
    """Probe a backend now."""
    backend = await find(access, id_or_name)
    await access.uow.checkpoint()
    at = datetime.now(UTC)
    verdict = await prober.probe(backend.base_url)
    await BackendRepository(access.uow, access.reach).record(backend.id, verdict, at)
    access.uow.audit(backend_id=str(backend.id))
    return await find(access, str(backend.id))


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
    while True:
        try:
            await probe_all(engine, prober)
        except Exception:
            log.exception("backends were not probed", retry_in_seconds=interval_seconds)
        await asyncio.sleep(interval_seconds)


async def probe_all(engine: AsyncEngine, prober: Prober) -> None:
    """Probe all backends once and keep the results."""
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

    async with asyncio.TaskGroup() as group:
        for backend in backends:
            group.create_task(probe(backend.id, backend.base_url, backend.health))
