"""A second API process on the database of `ias up`, whose gateway is the cluster: what it publishes is served by Envoy Gateway's Envoy."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from standalone.ports import reserve
from tests.kubernetes.served import Served

_START_S = 60


@dataclass(frozen=True)
class ControlPlane:
    """A running API."""

    url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(20)


@contextmanager
def control_plane(service: Served, **settings: str) -> Iterator[ControlPlane]:
    """Start it and yield it. `settings` are of the environment, in place of or beside those that it needs."""
    port = reserve("127.0.0.1")
    api = Path(f"/proc/{service.stack.pids()['api']}/environ").read_bytes().split(b"\0")
    environment = dict(entry.decode().split("=", 1) for entry in api if b"=" in entry)
    environment |= {
        "IAS_API_LISTEN": f"127.0.0.1:{port.number}",
        "IAS_METRICS_ADDRESS": "",
        "IAS_GATEWAY": "kubernetes",
        "IAS_GATEWAY_DIR": "",
        "IAS_GATEWAY_URL": service.world.gateway,
        "IAS_KUBERNETES_PROFILE": str(service.profile),
        "IAS_KUBERNETES_KUBECONFIG": str(service.server.kubeconfig()),
        **settings,
    }
    environment = {name: value for name, value in environment.items() if value or name == "IAS_METRICS_ADDRESS"}
    log = service.profile.with_name(f"control-plane-{port.number}.log")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "controlplane", "api"], env={**os.environ, **environment}, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port.number}"
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(url):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        yield ControlPlane(url, process)
    finally:
        process.terminate()
        process.wait(30)
        port.holder.close()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/api/problems").status_code < 500
    except httpx2.HTTPError:
        return False
