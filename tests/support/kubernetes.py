"""A real Kubernetes API server with its etcd, for the tests of a worker: the CRDs are installed, RBAC decides, no controller runs.

So nothing is deleted for being owned, and namespaces stay once they are made: each test takes one of its own.
"""

import base64
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from standalone.ports import reserve
from standalone.process import Program, launch
from tools.kubernetes_binaries import RECIPES, crds_folder, missing
from tools.kubernetes_crds import other_crds

Json = dict[str, Any]

_START_S = 60
_ADMIN_TOKEN = "admin-of-the-tests"
_NOT_BUILT = "{} must be built first: `make test-kubernetes` does (needs Go)"


class KubernetesServer:
    """An API server that can be killed and started again on its etcd."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._programs = {recipe.name: str(recipe.program) for recipe in RECIPES}
        self._ports = {name: reserve("127.0.0.1") for name in ("etcd", "peer", "api")}
        self.url = f"https://127.0.0.1:{self._ports['api'].number}"
        self.certificate = home / "certs/apiserver.crt"
        """Signed by itself: also the CA."""
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        _write_service_account_key(home / "sa.key")
        (home / "tokens.csv").write_text(f"{_ADMIN_TOKEN},admin,admin,system:masters\n")

    def start(self) -> None:
        """Start etcd, if it does not run, and the API server; return when it is ready. On the main thread."""
        if "etcd" not in self._running:
            self._running["etcd"] = launch(self._etcd())
        self._running["api"] = launch(self._api())
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            assert self._running["api"].poll() is None, f"kube-apiserver ended\n{self._log('api')}"
            assert time.monotonic() < deadline, f"kube-apiserver did not start\n{self._log('api')}{self._log('etcd')}"
            time.sleep(0.05)

    def kill_api(self) -> None:
        """`kill -9` the API server; etcd stays."""
        self._end("api")

    def close(self) -> None:
        for name in tuple(self._running):
            self._end(name)
        for port in self._ports.values():
            port.holder.close()

    def kubeconfig(self, token: str = _ADMIN_TOKEN) -> Path:
        """Write the configuration of somebody's client and return its path."""
        ca = base64.b64encode(self.certificate.read_bytes()).decode()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": "default"}}],
        }
        path = self.home / f"kubeconfig-{uuid.uuid5(uuid.NAMESPACE_OID, token).hex[:8]}"
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
        return path

    def call(self, method: str, path: str, body: object = None, *, content_type: str = "application/json", token: str = _ADMIN_TOKEN) -> Json:
        """Call the API as the administrator, or whoever has a token; raises KubernetesAnswered for a status that is no success."""
        headers = {"authorization": f"Bearer {token}", "content-type": content_type}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", method=method, headers=headers, data=data)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context(cafile=str(self.certificate))) as answer:
                    found: Json = json.loads(answer.read() or b"{}")
                    return found
            except urllib.error.HTTPError as error:
                # 429: the server has started, and does not serve this kind yet.
                if error.code != 429 or time.monotonic() > deadline:
                    raise KubernetesAnswered(error.code, error.read().decode()) from None
                time.sleep(0.1)

    def apply(self, path: str, body: Mapping[str, Any], manager: str = "tests") -> Json:
        """Server-side apply by somebody else than we: strict, and taking over what it names."""
        query = f"?fieldManager={manager}&force=true&fieldValidation=Strict"
        return self.call("PATCH", f"{path}{query}", body, content_type="application/apply-patch+yaml")

    def install(self, files: list[Path]) -> None:
        """Install CRDs and wait until they are served."""
        names = []
        for file in files:
            for document in yaml.load_all(file.read_bytes(), yaml.CSafeLoader):
                if document and document["kind"] == "CustomResourceDefinition":
                    names.append(document["metadata"]["name"])
                    document.pop("status", None)
                    self.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names[-1]}", document)
        for name in names:
            self._wait_until_served(name)

    def make_namespace(self, prefix: str = "t") -> str:
        name = f"{prefix}-{uuid.uuid4().hex[:10]}"
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def _wait_until_served(self, name: str) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            status = self.call("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").get("status") or {}
            if any(condition["type"] == "Established" and condition["status"] == "True" for condition in status.get("conditions") or []):
                return
            assert time.monotonic() < deadline, f"{name} is not served: {status}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            # Not the default context: the file is being written when this is called for the first time.
            context = ssl.create_default_context(cafile=str(self.certificate))
            request = urllib.request.Request(f"{self.url}/readyz", headers={"authorization": f"Bearer {_ADMIN_TOKEN}"})
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                return bool(answer.read() == b"ok")
        except OSError:  # URLError and ssl.SSLError among them
            return False

    def _end(self, name: str) -> None:
        if (process := self._running.pop(name, None)) is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(20)

    def _log(self, name: str) -> str:
        path = self.home / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def _etcd(self) -> Program:
        client, peer = (f"http://127.0.0.1:{self._ports[name].number}" for name in ("etcd", "peer"))
        options = (
            f"--data-dir={self.home}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        return Program("etcd", (self._programs["etcd"], *options), self.home / "etcd.log")

    def _api(self) -> Program:
        key = self.home / "sa.key"
        options = (
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd'].number}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._ports['api'].number}",
            f"--cert-dir={self.home}/certs",
            f"--token-auth-file={self.home}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",  # the default one fails on a loopback address
            "--disable-admission-plugins=ServiceAccount",  # nothing here makes the default accounts
        )
        return Program("kube-apiserver", (self._programs["kube-apiserver"], *options), self.home / "api.log")


class KubernetesAnswered(Exception):
    """The API server's answer was no success."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:2000]}")
        self.status = status


def _write_service_account_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(encoding, kind, serialization.NoEncryption()))


def crds(project: str) -> list[Path]:
    """The CRDs of `gateway` (Gateway API and Envoy Gateway), `aigw` or `kserve`; none when they cannot be had (`tools/kubernetes_crds.py`)."""
    folder = crds_folder() if project == "gateway" else other_crds(project)
    return sorted(folder.glob("*.yaml")) if folder else []


@contextmanager
def running_kubernetes() -> Iterator[KubernetesServer]:
    """A server with the CRDs of the gateway, and those of AI Gateway where they are."""
    home = Path(tempfile.mkdtemp(prefix="ias-kubernetes-"))
    server = KubernetesServer(home)
    try:
        server.start()
        server.install(crds("gateway") + crds("aigw"))
        yield server
    finally:
        server.close()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def kubernetes_server() -> Iterator[KubernetesServer]:
    """The API server of this worker. Who kills it starts it again."""
    if absent := missing("etcd", "kube-apiserver"):
        pytest.skip(_NOT_BUILT.format(", ".join(absent)))
    with running_kubernetes() as server:
        yield server


@pytest.fixture
def kubernetes(kubernetes_server: KubernetesServer) -> Iterator[KubernetesServer]:
    """The running API server, for one test; it runs again afterwards whatever the test did."""
    yield kubernetes_server
    if "api" not in kubernetes_server._running:
        kubernetes_server.start()


@pytest.fixture(scope="session")
def aigw_crds(kubernetes_server: KubernetesServer) -> None:
    """For tests that need AI Gateway's CRDs: without them they are left out (`tests/kubernetes/conftest.py`)."""


@pytest.fixture(scope="session")
def kserve_crds(kubernetes_server: KubernetesServer) -> None:
    """KServe's CRDs, which take longer than all others together; without them the test is left out."""
    kubernetes_server.install(crds("kserve"))


@pytest.fixture
def namespace(kubernetes: KubernetesServer) -> str:
    """A namespace of the test's own."""
    return kubernetes.make_namespace()
