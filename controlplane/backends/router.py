"""Routes of backends; all for System Admins."""

from typing import Annotated

from fastapi import Response

from controlplane.authorization import Access, require
from controlplane.backends import service
from controlplane.backends.repository import BackendRepository
from controlplane.backends.schemas import BackendList, BackendView, RegisterBackend
from controlplane.catalog.schemas import DiscoveryView, discovery_view
from controlplane.idempotency.route import Router
from controlplane.runtime import RuntimeNow
from ias.roles import Permission

router = Router(tags=["backends"])
ModelManager = Annotated[Access, require(Permission.MODELS_MANAGE)]


@router.post("/backend", name="backend.create", status_code=201)
async def register(body: RegisterBackend, access: ModelManager, runtime: RuntimeNow, response: Response) -> BackendView:
    """Register an engine. It is probed at once; one that does not answer is registered as unhealthy, with the reason."""
    backend = await service.register(access, runtime.prober, body)
    response.headers["location"] = f"/api/backend/{backend.id}"
    return BackendView.model_validate(backend)


@router.get("/backend", name="backend.list")
async def list_backends(access: ModelManager) -> BackendList:
    """List all engines."""
    rows = await BackendRepository(access.uow, access.reach).every()
    return BackendList(items=[BackendView.model_validate(row) for row in rows])


@router.get("/backend/{backend}", name="backend.get")
async def get(backend: str, access: ModelManager) -> BackendView:
    """Show an engine, by id or name."""
    return BackendView.model_validate(await service.find(access, backend))


@router.post("/backend/{backend}/check", name="backend.check")
async def check(backend: str, access: ModelManager, runtime: RuntimeNow) -> BackendView:
    """Probe an engine now."""
    return BackendView.model_validate(await service.check(access, runtime.prober, backend))


@router.post("/backend/{backend}/discover", name="backend.discover")
async def discover(backend: str, access: ModelManager, runtime: RuntimeNow) -> DiscoveryView:
    """Ask an engine for its models now, and bring the catalog to that. One that does not answer, or is not well, changes nothing."""
    return discovery_view(*await service.discover_now(access, runtime.prober, backend))


@router.delete("/backend/{backend}", name="backend.delete", status_code=204)
async def remove(backend: str, access: ModelManager) -> None:
    """Remove an engine that no published model uses."""
    await service.remove(access, backend)
