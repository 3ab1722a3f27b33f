"""The service behind Envoy Gateway: `ias up` beside it, whose database is rendered, applied, and asked through Envoy Gateway's Envoy."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from controlplane.kubernetes import objects
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.desired_state import read_desired_state, read_profile_file
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from standalone.ports import reserve
from tests.e2e.world import Tenant, World
from tests.support.envoy_gateway import EnvoyGateway
from tests.support.kubernetes import KubernetesServer
from tests.support.simulator import running_simulator
from tests.support.stack import Stack, running_stack

Json = dict[str, Any]

_SETTLE_S = 30


@dataclass
class Served:
    """A gateway in the cluster, and the services that it leads to."""

    server: KubernetesServer
    controller: EnvoyGateway
    stack: Stack
    world: World
    """Its gateway is Envoy Gateway's Envoy."""
    namespace: str
    port: int
    grpc_port: int
    profile: Path

    def render(self) -> list[Json]:
        """What `ias gateway render` prints for the service's own database."""
        return list(yaml.load_all(_print("render", "--home", str(self.stack.home), "--profile", str(self.profile)), yaml.CSafeLoader))

    def write(self) -> None:
        """Have the control plane's own adapter write what is published now, and wait for what the controller says of it."""
        asyncio.run(self._write())

    async def _write(self) -> None:
        profile = read_profile_file(self.profile)
        state = await read_desired_state((self.stack.home / "secrets/database_url").read_text().strip())
        async with open_api(self.server.kubeconfig()) as api:
            await KubernetesGateway(KubernetesCluster(api, profile.gateway, profile.namespace), profile, confirm_s=_SETTLE_S).apply(state)

    def apply(self, manifests: Sequence[Json]) -> None:
        """Apply manifests and wait until Envoy Gateway has said of each that it took it."""
        for manifest in manifests:
            self.server.apply(path_of(manifest), manifest)
        deadline = time.monotonic() + _SETTLE_S
        while waiting := {path: why for path, why in ((path_of(manifest), self.refusal(manifest)) for manifest in manifests) if why}:
            assert time.monotonic() < deadline, f"{json.dumps(waiting, indent=1)}\n{self.controller.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def asked(self, path: str, api_key: str = "", *, json: Json | None = None, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """Ask through Envoy, with a body if there is one; 599 while nobody listens."""
        told = {**(headers or {}), **({"authorization": f"Bearer {api_key}"} if api_key else {})}
        try:
            return httpx2.request("GET" if json is None else "POST", f"{self.world.gateway}{path}", json=json, headers=told)
        except httpx2.ConnectError:
            return httpx2.Response(599)

    @contextmanager
    def traditional_model(self, tenant: Tenant, apply: Callable[[], None]) -> Iterator[str]:
        """Publish `iris` on a model server of its own and have that applied; yields its key."""
        with tempfile.TemporaryDirectory() as folder, running_simulator(Path(folder), "--traditional", "--models", "iris") as engine:
            self.world.admin.call("POST", "/api/backend", json={"name": "sklearn", "baseUrl": engine.url})
            made = self.world.admin.call("POST", "/api/models/iris/publish", json={"config": {"tenantId": tenant.slug}})
            apply()
            yield made["apiKey"]
            self.world.admin.call("DELETE", "/api/models/iris/publish")
            self.world.admin.call("DELETE", "/api/backend/sklearn")

    def refusal(self, manifest: Json) -> str:
        """What Envoy Gateway has against an object as it is now; empty: nothing, and it has said so."""
        found = self.server.call("GET", path_of(manifest))
        conditions = list(_conditions(found.get("status") or {}))
        if found["kind"] in _WITHOUT_STATUS or found["apiVersion"].startswith("aigateway"):
            return ""
        if not conditions:
            return "no status"
        wanted = {"Accepted", "ResolvedRefs", "Programmed"}
        stale = [one for one in conditions if one.get("observedGeneration", 0) < found["metadata"]["generation"]]
        refused = [f"{one['type']}: {one['reason']} {one['message']}" for one in conditions if one["type"] in wanted and one["status"] != "True"]
        return "; ".join(refused) or ("stale" if stale else "")


def _print(*arguments: str) -> str:
    """Run `ias gateway …` and return what it prints."""
    command = [sys.executable, "-m", "standalone", "gateway", *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert printed.returncode == 0, printed.stderr
    return printed.stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("IAS_")}


# Nobody says anything of these, and AI Gateway's controller is not here.
_WITHOUT_STATUS = {"HTTPRouteFilter", "ReferenceGrant", "EnvoyProxy"}


def _conditions(status: Json) -> Iterator[Json]:
    yield from status.get("conditions") or []
    for part in (*(status.get("ancestors") or []), *(status.get("parents") or []), *(status.get("listeners") or [])):
        yield from part.get("conditions") or []


def path_of(manifest: Mapping[str, Any]) -> str:
    """The path of an object of the API server."""
    metadata = manifest["metadata"]
    return objects.path_of(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def free_port() -> int:
    """Return one that is free now."""
    with contextlib.closing(reserve("127.0.0.1").holder) as holder:
        return int(holder.getsockname()[1])


@contextmanager
def served(home: Path, server: KubernetesServer, controller: EnvoyGateway, listeners: Sequence[Json] = (), **chosen: Any) -> Iterator[Served]:
    """Start the services and a gateway in a namespace of its own; `listeners` and `chosen` go into the profile. Nothing is applied yet."""
    namespace = server.make_namespace("ias")
    ports = [reserve("127.0.0.1") for _ in range(2)]
    for port in ports:
        port.holder.close()
    with running_stack(home) as stack, contextlib.ExitStack() as closing:
        sockets = {name: {"unix": socket_of(stack, name)} for name in ("extauth", "extproc")}
        profile = home / "profile.yaml"
        document = {
            **sockets,
            "namespace": namespace,
            "gatewayClass": namespace,
            "onHost": True,
            "listeners": [{"name": "http", "port": ports[0].number, "plaintext": True}, *listeners],
            "grpcListeners": [{"name": "grpc", "port": ports[1].number, "plaintext": True}],
            **chosen,
        }
        profile.write_text(yaml.safe_dump(document))
        if "globalLimit" in chosen:
            closing.enter_context(_rate_limit_service(stack, profile, chosen["globalLimit"]["service"]["port"], home))
        world = World({**stack.ready, "gateway_url": f"http://127.0.0.1:{ports[0].number}"}, stack.ready["admin_password"])
        closing.callback(world.close)
        controller.adopt(namespace, "ias", ports[0].number)
        _remove_gateways(server)
        closing.callback(_remove_gateways, server)
        yield Served(server, controller, stack, world, namespace, ports[0].number, ports[1].number, profile)


def _remove_gateways(server: KubernetesServer) -> None:
    """Envoy Gateway runs an Envoy for each Gateway, whoever left it, and all take the same fixed port."""
    for gateway in server.call("GET", "/apis/gateway.networking.k8s.io/v1/gateways")["items"]:
        server.call("DELETE", path_of({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", **gateway}))


@contextmanager
def _rate_limit_service(stack: Stack, profile: Path, port: int, home: Path) -> Iterator[None]:
    """Our Rate Limit Service on the Valkey of `ias up`, with the limits of the profile."""
    environment = {
        **_environment(),
        "IAS_LISTEN": f"127.0.0.1:{port}",
        "IAS_METRICS_ADDRESS": "127.0.0.1:0",
        "IAS_VALKEY_URL_FILE": str(stack.home / "secrets/valkey_url"),
        "IAS_RATE_LIMITS": _print("rate-limits", "--profile", str(profile)),
        "IAS_STORE_TIMEOUT_MS": "500",
    }
    with (home / "ratelimit.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "ratelimit"], stdout=log, stderr=log, env=environment)
    try:
        yield
        assert process.poll() is None, (home / "ratelimit.log").read_text()
    finally:
        process.terminate()
        process.wait(20)


def socket_of(stack: Stack, service: str) -> str:
    """The socket on which a service of `ias up` is asked by Envoy."""
    environment = Path(f"/proc/{stack.pids()[service]}/environ").read_bytes().split(b"\0")
    (address,) = [entry.partition(b"=")[2].decode() for entry in environment if entry.startswith(b"IAS_LISTEN=")]
    return address.removeprefix("unix:")
