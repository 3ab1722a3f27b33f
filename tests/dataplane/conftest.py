"""The data plane of these tests: a real Envoy between stand-ins, one for each test."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest

from controlplane.gateway.bootstrap import BootstrapParams
from controlplane.gateway.file_xds import FileXdsGateway
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from ias.transport import Server, StreamMethod
from tests.dataplane.stand_ins import GOOD_KEY, Engine, Extauth, Extproc, serve
from tests.support.envoy import RunningEnvoy, run_envoy

MODEL = "org/model:1.0"
CHAT = "/v1/chat/completions"


@dataclass
class Dataplane:
    """Everything that a request meets, and a client for it."""

    home: Path
    envoy: RunningEnvoy
    gateway: FileXdsGateway
    extauth: Extauth
    extproc: Extproc
    engine: Engine
    servers: dict[str, Server]
    client: httpx2.AsyncClient

    def state(self, *models: str) -> GatewayState:
        """All models on the one engine."""
        return GatewayState((GatewayBackend("engine", self.engine.url),), tuple(GatewayRoute.to_one(model, "engine") for model in models))

    async def chat(self, model: str = MODEL, *, key: str | None = GOOD_KEY, padding: int = 0, **more: Any) -> httpx2.Response:
        """Send a chat completion; `padding` makes its body larger."""
        headers = {**({"authorization": key} if key else {}), **more.pop("headers", {})}
        return await self.client.post(CHAT, json={"model": model, "messages": [], "padding": "x" * padding}, headers=headers, **more)


class Processor(Protocol):
    """What may take extproc's place."""

    def method(self) -> StreamMethod: ...


StartDataplane = Callable[..., AbstractAsyncContextManager[Dataplane]]


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ias-dp-"))  # short: the path of a Unix socket has at most 107 bytes
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start_dataplane(home: Path) -> StartDataplane:
    """Start a data plane with parameters of the test's own; `MODEL` is published on its engine, `processor` takes extproc's place."""

    @asynccontextmanager
    async def start(
        template: str | None = None, processor: Processor | None = None, extauth: Extauth | None = None, **params: Any
    ) -> AsyncIterator[Dataplane]:
        extauth, extproc, engine = extauth or Extauth(), Extproc(), Engine()
        sockets = {"extauth": f"unix:{home}/extauth.sock", "extproc": f"unix:{home}/extproc.sock"}
        bootstrap = BootstrapParams(xds_directory=home / "xds", extauth=(sockets["extauth"],), extproc=(sockets["extproc"],), **params)
        async with AsyncExitStack() as stack:
            servers = {
                "extauth": await stack.enter_async_context(serve(sockets["extauth"], extauth.method())),
                "extproc": await stack.enter_async_context(serve(sockets["extproc"], (processor or extproc).method())),
            }
            await stack.enter_async_context(engine.serve())
            envoy = await stack.enter_async_context(run_envoy(home, bootstrap, template))
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=envoy.url, timeout=20, trust_env=False))
            gateway = FileXdsGateway(home / "xds", envoy.admin_url, envoy_log=envoy.log)
            dataplane = Dataplane(home, envoy, gateway, extauth, extproc, engine, servers, client)
            await gateway.apply(dataplane.state(MODEL))
            yield dataplane

    return start


@pytest.fixture
async def dataplane(start_dataplane: StartDataplane) -> AsyncIterator[Dataplane]:
    """A data plane with the default parameters."""
    async with start_dataplane() as running:
        yield running
