"""Routes of backends; all for System Admins."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Response

from controlplane.authorization import Access, require
from controlplane.backends import service
from controlplane.backends.repository import BackendRepository
from controlplane.backends.schemas import BackendDetailView, BackendList, BackendView, ChangeBackend, RegisterBackend, detail_of, view_of
from controlplane.catalog.schemas import DiscoveryView, discovery_view
from controlplane.idempotency.route import Router
from controlplane.runtime import Runtime, RuntimeNow
from ias.roles import Permission

router = Router(tags=["backends"])
SEEN = timedelta(hours=1)
ModelManager = Annotated[Access, require(Permission.MODELS_MANAGE)]


@router.post("/backend", name="backend.create", status_code=201)
async def register(body: RegisterBackend, access: ModelManager, runtime: RuntimeNow, response: Response) -> BackendView:
    """Register an engine. It is probed at once; one that does not answer is registered as unhealthy, with the reason."""
    backend = await service.register(access, runtime.probing, body)
    response.headers["location"] = f"/api/backend/{backend.id}"
    return view_of(backend)


@router.get("/backend", name="backend.list")
async def list_backends(access: ModelManager) -> BackendList:
    """List all engines."""
    rows = await BackendRepository(access.uow, access.reach).every()
    return BackendList(items=[view_of(row) for row in rows])


@router.get("/backend/{backend}", name="backend.get")
async def get(backend: str, access: ModelManager) -> BackendDetailView:
    """Show an engine, by id or name, and what the gateway saw of it."""
    row = await service.find(access, backend)
    since = datetime.now(UTC) - SEEN
    return detail_of(row, since, *await BackendRepository(access.uow, access.reach).seen_since(row.id, since))


@router.put("/backend/{backend}", name="backend.update")
async def change(backend: str, body: ChangeBackend, access: ModelManager, runtime: RuntimeNow) -> BackendView:
    """Change how an engine is probed, and the credential that it is shown; then it is probed."""
    view = view_of(await service.change(access, runtime.probing, runtime.publisher.credentials, backend, body))
    await _tell_gateway(access, runtime)
    return view


@router.post("/backend/{backend}/check", name="backend.check")
async def check(backend: str, access: ModelManager, runtime: RuntimeNow) -> BackendView:
    """Probe an engine now, and have the gateway show it its credential of now."""
    view = view_of(await service.check(access, runtime.probing, backend))
    await _tell_gateway(access, runtime)
    return view


@router.post("/backend/{backend}/discover", name="backend.discover")
async def discover(backend: str, access: ModelManager, runtime: RuntimeNow) -> DiscoveryView:
    """Ask an engine for its models now, and bring the catalog to that. One that does not answer, or is not well, changes nothing."""
    return discovery_view(*await service.discover_now(access, runtime.probing, backend))


@router.delete("/backend/{backend}", name="backend.delete", status_code=204)
async def remove(backend: str, access: ModelManager) -> None:
    """Remove an engine that no published model uses."""
    await service.remove(access, backend)


async def _tell_gateway(access: Access, runtime: Runtime) -> None:
    """Have the gateway take what is written now, and not at its next look in ten seconds."""
    await access.uow.checkpoint()
    runtime.publisher.reconciler.wake()
