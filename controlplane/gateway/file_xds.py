"""The gateway port on one machine: Envoy reads clusters (CDS) and routes (RDS) from two files that this adapter replaces.

A change is three steps, each confirmed by Envoy before the next: CDS = old and new clusters, RDS = new routes, CDS = new
clusters. So no route ever points at a cluster that is not there, and no stream is cut. The files are the only state:
a control plane that restarts, or that was killed between two steps, goes on from what they hold.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import httpx2
import msgspec

from controlplane.backends.credentials import CredentialFolder
from controlplane.gateway.clusters import GatewayFiles
from controlplane.gateway.ports import GatewayRejected, GatewayState, GatewayUnreachable
from controlplane.gateway.render import CDS_FILE, RDS_FILE, ROUTE_CONFIG_NAME, Resources, render, resources, without_engines
from controlplane.gateway.secret_files import SecretFiles
from ias import logs

log = logs.get(__name__)

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
SECRETS_FOLDER = "secrets"

_CONFIRM_S = 5.0
_WARM_S = 2.0
"""How long new clusters may resolve their names before routes point at them."""
_POLL_S = 0.005
_REMOVE_AFTER_S = 0.25
"""A request that chose its route may still be with extproc: its cluster goes away this much later than its route."""
_REASON_LENGTH = 500
_REASON = re.compile(r"Filesystem config update (?:rejected|failure): (.*?)(?=^\[\d{4}-|\Z)", re.DOTALL | re.MULTILINE)

_STAT_PREFIX = {CDS_FILE: "cluster_manager.cds", RDS_FILE: f"http.gateway.rds.{ROUTE_CONFIG_NAME}"}
_WARMING = "cluster_manager.warming_clusters"


@dataclass(frozen=True, slots=True)
class _Served:
    """What Envoy says about one of the files."""

    version: str
    refused: int
    """Updates that it could not parse, or parsed and rejected, since it started."""
    taken: int
    """Updates that it took."""
    warming: int


def write_initial_files(directory: Path) -> None:
    """Make the files of a gateway without models where they are missing or unreadable: Envoy does not start without them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, empty in zip((CDS_FILE, RDS_FILE), render(GatewayState(), GatewayFiles(SYSTEM_CA, directory / SECRETS_FOLDER)), strict=True):
        if _read(directory / name) is None:
            _replace(directory / name, empty)


class FileXdsGateway:
    """Writes below `directory` and asks Envoy's admin interface whether it took it.

    `envoy_log` is the file that takes Envoy's standard error, if one does: the only place where it says why it refused something.
    An engine whose credential cannot be read gets no request: it is left out until it can be.
    """

    def __init__(
        self,
        directory: Path,
        admin_url: str,
        *,
        trusted_ca: str = SYSTEM_CA,
        envoy_log: Path | None = None,
        credentials: CredentialFolder | None = None,
    ) -> None:
        self._directory = directory
        self._admin_url = admin_url.rstrip("/")
        self._files = GatewayFiles(trusted_ca, directory.absolute() / SECRETS_FOLDER)
        self._secrets = SecretFiles(self._files.secrets, credentials or CredentialFolder(None))
        self._envoy_log = envoy_log
        self._one_at_a_time = asyncio.Lock()
        write_initial_files(directory)

    async def apply(self, state: GatewayState, models: Collection[str] | None = None) -> bool:
        """Always whole: Envoy takes two files."""
        async with self._one_at_a_time, self._admin() as admin:
            usable = await asyncio.to_thread(self._with_credentials, state)
            clusters, routes = await asyncio.to_thread(render, usable, self._files)
            before = {name: _read(self._directory / name) for name in (CDS_FILE, RDS_FILE)}
            old = before[CDS_FILE]
            kept = old.resources if _is_ours(old) else ()
            both = resources({str(item["name"]): item for item in (*kept, *clusters.resources)}.values())
            try:
                await self._publish(admin, CDS_FILE, both)
                await self._publish(admin, RDS_FILE, routes)
                if both.version != clusters.version:
                    await asyncio.sleep(_REMOVE_AFTER_S)
                    await self._publish(admin, CDS_FILE, clusters)
                self._secrets.remove_all_but({backend.credential for backend in usable.backends if backend.credential})
            except GatewayRejected:
                # Envoy still serves the old state, but not after a restart unless the files say so too.
                for name in (RDS_FILE, CDS_FILE):
                    if (content := before[name]) is not None:
                        _replace(self._directory / name, content)
                raise
            return True

    def _with_credentials(self, state: GatewayState) -> GatewayState:
        """Write what engines are shown, and leave out those for which there is nothing to show."""
        unusable = self._secrets.write({backend.credential for backend in state.backends if backend.credential})
        ids = {backend.backend_id for backend in state.backends if backend.credential in unusable}
        for backend in state.backends:
            if backend.backend_id in ids:
                log.error("engine_left_out", backend_id=backend.backend_id, reason=unusable[backend.credential])
        return without_engines(state, ids)

    def _admin(self) -> httpx2.AsyncClient:
        # An empty TLS context: admin is plain HTTP, and loading the system's CAs would cost 80 ms for each change.
        return httpx2.AsyncClient(base_url=self._admin_url, timeout=_CONFIRM_S, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)

    async def _publish(self, admin: httpx2.AsyncClient, name: str, wanted: Resources) -> None:
        """Replace a file and return when Envoy serves it."""
        served = await _ask(admin, name)
        on_disk = _read(self._directory / name)
        if _is_ours(on_disk) and on_disk.version == served.version == wanted.version:
            return
        log_end = self._log_size()
        _replace(self._directory / name, wanted)
        loop = asyncio.get_running_loop()
        written = loop.time()
        # A file that was changed by hand may have left its version as it was: that Envoy has read it again counts, too.
        while (now := await _ask(admin, name)).version != wanted.version or now.taken == served.taken or self._warms(now, loop.time() - written):
            if now.refused > served.refused:
                raise GatewayRejected(f"Envoy refused {name}: {self._reason(log_end)}")
            if loop.time() > written + _CONFIRM_S:
                raise GatewayUnreachable(f"Envoy did not take {name} within {_CONFIRM_S:.0f} s")
            await asyncio.sleep(_POLL_S)
        log.info("gateway_updated", file=name, version=wanted.version, resources=len(wanted.resources), seconds=round(loop.time() - written, 3))

    @staticmethod
    def _warms(now: _Served, seconds: float) -> bool:
        return now.warming > 0 and seconds < _WARM_S

    def _log_size(self) -> int:
        try:
            return self._envoy_log.stat().st_size if self._envoy_log else 0
        except OSError:
            return 0

    def _reason(self, since: int) -> str:
        if self._envoy_log is None:
            return "its log says why"
        try:
            with self._envoy_log.open(errors="replace") as file:
                file.seek(since)
                found = _REASON.search(file.read())
        except OSError:
            found = None
        return " ".join(found[1].split())[-_REASON_LENGTH:] if found else f"see {self._envoy_log}"


async def _ask(admin: httpx2.AsyncClient, name: str) -> _Served:
    prefix = _STAT_PREFIX[name]
    wanted = f"^({re.escape(prefix)}\\.(version_text|update_success|update_failure|update_rejected)|{re.escape(_WARMING)})$"
    try:
        answer = await admin.get("/stats", params={"filter": wanted})
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise GatewayUnreachable(f"Envoy's admin interface does not answer: {error}") from error
    stats = dict(line.split(": ", 1) for line in answer.text.splitlines() if ": " in line)
    return _Served(
        version=stats.get(f"{prefix}.version_text", "").strip('"'),
        refused=int(stats.get(f"{prefix}.update_failure", 0)) + int(stats.get(f"{prefix}.update_rejected", 0)),
        taken=int(stats.get(f"{prefix}.update_success", 0)),
        warming=int(stats.get(_WARMING, 0)),
    )


def _read(path: Path) -> Resources | None:
    """Return a file's content; None when there is none that Envoy could read."""
    try:
        content = msgspec.json.decode(path.read_bytes())
        return Resources(content["version_info"], tuple(content["resources"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_ours(content: Resources | None) -> TypeGuard[Resources]:
    """Whether a file holds what this adapter wrote: its version is the hash of it."""
    try:
        return content is not None and resources(content.resources).version == content.version
    except (KeyError, TypeError):
        return False


def _replace(path: Path, content: Resources) -> None:
    """Write beside and rename: Envoy watches for the rename and never sees half a file."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content.to_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
