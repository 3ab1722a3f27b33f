"""The registry's process on a real database, asked by grpcio: it follows decisions, models and health."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos import GET_TENANT_MODEL, LIST_TENANT_MODELS
from protos.registry_pb2 import GetTenantModelRequest, GetTenantModelResponse, ListTenantModelsRequest, ListTenantModelsResponse
from tests.component.controlplane.world import World
from tests.support.engine import Engine, engine_running
from tests.support.postgres import as_role

ORG = "alpha"


class Registry:
    """A client of it."""

    def __init__(self, channel: grpc.aio.Channel, world: World) -> None:
        self._world = world
        self._get = channel.unary_unary(
            GET_TENANT_MODEL, request_serializer=GetTenantModelRequest.SerializeToString, response_deserializer=GetTenantModelResponse.FromString
        )
        self._list = channel.unary_unary(
            LIST_TENANT_MODELS,
            request_serializer=ListTenantModelsRequest.SerializeToString,
            response_deserializer=ListTenantModelsResponse.FromString,
        )

    async def get(self, model: str) -> Any:
        """The answer, or the code that the reason begins with."""
        try:
            return await self._get(GetTenantModelRequest(tenant_id=str(self._world.orgs[ORG]), model=model), wait_for_ready=True, timeout=20)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {(error.details() or '').partition(':')[0]}"

    async def list(self, **wanted: Any) -> Any:
        return await self._list(ListTenantModelsRequest(tenant_id=str(self._world.orgs[ORG]), **wanted), wait_for_ready=True, timeout=20)


async def becomes(probe: Callable[[], Awaitable[object]], expected: object) -> None:
    """Within the time of some polls."""
    async with asyncio.timeout(10):
        while await probe() != expected:  # noqa: ASYNC110 -- the state of a real process is polled
            await asyncio.sleep(0.05)


@pytest.fixture
async def sim(world: World) -> AsyncIterator[Engine]:
    async with engine_running("chat", "embed") as engine:
        await world["root"].ok("POST", "/backend", {"name": "gpu", "baseUrl": engine.url})
        yield engine


@pytest.fixture
async def registry(world: World, sim: Engine, database_url: str, tmp_path: Path) -> AsyncIterator[Registry]:
    address = f"unix:{tmp_path / 'r.sock'}"
    environment = {"IAS_DATABASE_URL": as_role(database_url), "IAS_LISTEN": address, "IAS_CHANGES_INTERVAL_MS": "50"}
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-m", "controlplane", "registry"], env=environment)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Registry(channel, world)
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0


async def test_it_answers_by_what_people_and_backends_do(registry: Registry, world: World, sim: Engine) -> None:
    root, admin = world["root"], world["alpha-admin"]
    found = await registry.get("gpu::chat")
    assert (found.model.id, found.provider.name, found.provider.health) == ("gpu::chat", "gpu", "healthy")
    assert await registry.get("gpu::nothing") == "NOT_FOUND model_not_found"

    await admin.ok("POST", "/org/alpha/approval/revoke", {"models": ["gpu::chat"]})
    await becomes(lambda: registry.get("gpu::chat"), "PERMISSION_DENIED model_not_approved")
    assert [one.id for one in (await registry.list()).models] == ["gpu::embed"]
    await admin.ok("POST", "/org/alpha/approval/reinstate", {"models": ["gpu::chat"]})
    await becomes(lambda: _ids(registry), ["gpu::chat", "gpu::embed"])

    (chat,) = (await root.ok("GET", "/catalog?name=chat"))["items"]
    await root.ok("PUT", f"/catalog/{chat['id']}", {"capabilities": ["tools"], "aliases": ["best"]})
    await becomes(lambda: _ids(registry, capability="TOOLS"), ["gpu::chat"])
    assert (await registry.get("best")).model.aliases == ["best"]
    page = await registry.list(page_size=1)
    assert [one.id for one in (await registry.list(page_token=page.next_page_token)).models] == ["gpu::embed"]

    sim.serves("embed", "new")
    for _ in range(3):
        await root.ok("POST", "/backend/gpu/discover")
    await becomes(lambda: registry.get("gpu::chat"), "FAILED_PRECONDITION model_deprecated")
    assert await _ids(registry) == ["gpu::embed", "gpu::new"]

    sim.answers["/health"] = (503, b"")
    await root.ok("POST", "/backend/gpu/check")

    async def health() -> str:
        return str((await registry.get("gpu::new")).provider.health)

    await becomes(health, "unhealthy")


async def test_what_is_no_request_is_refused(registry: Registry) -> None:
    for wanted in ({"page_size": 201}, {"page_size": -1}, {"page_token": "%"}):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await registry.list(**wanted)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def _ids(registry: Registry, **wanted: Any) -> list[str]:
    return [one.id for one in (await registry.list(**wanted)).models]
