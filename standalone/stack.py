"""What runs on one machine, and how its parts hang together: the only place that knows every service's environment."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from controlplane import database_roles
from controlplane.gateway.bootstrap import BootstrapParams, Metering, render_bootstrap
from standalone import binaries, readiness
from standalone.egress import allowed_networks
from standalone.home import Home, random_secret, write_private
from standalone.ports import Ports
from standalone.postgres import Postgres
from standalone.process import Program, run
from standalone.supervisor import Service, StartFailed, Step
from standalone.valkey import Valkey

SIMULATOR = "sim"
SIMULATOR_MODELS = ("sim-chat", "sim-small", "sim-embed")
_DRAIN_S = 10
"""How long running requests may go on after a stop was asked for."""
_KEEPS_ITS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""Bodies of a megabyte come and go. glibc would give their pages back and ask for them anew: a third of the CPU time of such a request."""


class Stack:
    """The parts of one service in `home`.

    `engines` maps backend names to URLs; without any, the simulator is the engine. `engine_keys` has the files of the keys that they demand.
    """

    def __init__(self, home: Home, ports: Ports, engines: Mapping[str, str], engine_keys: Mapping[str, Path], metering: Metering = "inline") -> None:
        self.home = home
        self.metering = metering
        self.ports = ports
        self.engines = engines or {SIMULATOR: ports.simulator.url}
        self.simulated = not engines
        self.engine_keys = engine_keys
        self.credentials = home.folder("credentials")
        database_password = home.secret_file("database_password", random_secret)
        self._control_plane_password = home.secret_file("control_plane_password", random_secret)
        self._data_plane_password = home.secret_file("data_plane_password", random_secret)
        valkey_password = home.secret_file("valkey_password", random_secret)
        self.postgres = Postgres(home.folder("postgres"), home.runtime / "pg", database_password, self._log("postgres"))
        self.valkey = Valkey(home.folder("valkey"), home.runtime / "valkey.sock", valkey_password, self._log("valkey"))
        self.extauth_address = f"unix:{home.runtime / 'extauth.sock'}"
        self.extproc_address = f"unix:{home.runtime / 'extproc.sock'}"
        self.registry_address = f"unix:{home.runtime / 'registry.sock'}"
        self.gateway_directory = home.folder("gateway")
        self.mail = home.folder("mail")
        self.spool = home.folder("spool") / "extproc-0"
        self.security_events = home.folder("spool") / "extauth-0"
        self.first_password = home.secrets / "first_admin_password"
        """There until the first start has succeeded and the password was shown."""

    # --- what others are told ---

    def addresses(self) -> dict[str, object]:
        """Return what the ready file says beside process ids and first credentials."""
        ports = self.ports
        metrics = {
            "extauth": ports.extauth_metrics,
            "extproc": ports.extproc_metrics,
            "api": ports.api_metrics,
            "worker": ports.worker_metrics,
        }
        return {
            "gateway_url": ports.gateway.url,
            "api_url": ports.api.url,
            "envoy_admin_url": ports.envoy_admin.url,
            "database_url": self.postgres.url(),
            "valkey_url": self.valkey.url,
            "registry_address": self.registry_address,
            "mail_folder": str(self.mail),
            "engine_url": next(iter(self.engines.values())),
            "metrics_urls": {name: f"{port.url}/metrics" for name, port in metrics.items()},
        }

    # --- the parts ---

    def parts(self) -> list[Service | Step]:
        """Return everything in the order of the start."""
        return [
            Service("PostgreSQL", self.postgres.program(), self.postgres.ready, prepare=self._prepare_postgres),
            Service("Valkey", self.valkey.program(), self.valkey.ready),
            *([self._simulator()] if self.simulated else []),
            Step("setup", "Database schema", self._setup, after=("postgres", *(["engine"] if self.simulated else []))),
            self._api(),
            self._worker(),
            self._registry(),
            self._extauth(),
            self._extproc(),
            self._envoy(),
        ]

    async def _prepare_postgres(self) -> None:
        await self.postgres.clear_remains()
        await asyncio.to_thread(self.postgres.create)

    def _simulator(self) -> Service:
        reports = "forced" if self.metering == "shadow" else "asked"  # a shadow cannot ask for usage
        arguments = ("--listen", str(self.ports.simulator), "--models", ",".join(SIMULATOR_MODELS), "--usage", reports)
        program = self._python("engine", "standalone.engine_simulator", *arguments, environment={})
        return Service("Engine simulator", program, readiness.answers(f"{self.ports.simulator.url}/health"))

    async def _setup(self) -> None:
        """Migrate, make the first System Admin, register the engines: one short process, so that we stay small."""
        backends = [argument for name, url in self.engines.items() for argument in ("--backend", f"{name}={url}")]
        for name, file in self.engine_keys.items():
            self._link_credential(name, file)
            backends += ["--credential", name]
        files = {
            "gateway-directory": self.gateway_directory,
            "credentials-directory": self.credentials,
            "password-file": self.first_password,
            "control-plane-password-file": self._control_plane_password,
            "data-plane-password-file": self._data_plane_password,
        }
        arguments = [*(argument for name, path in files.items() for argument in (f"--{name}", str(path))), *backends]
        program = self._python("setup", "standalone.setup", *arguments, environment=self._database | self._egress | self._credentials)
        program.log.unlink(missing_ok=True)
        try:
            await asyncio.to_thread(run, program)
        except subprocess.CalledProcessError:
            raise StartFailed("The database could not be set up.", program.log) from None

    def _api(self) -> Service:
        environment = {
            **self._control_plane_database,
            **self._valkey_url,
            **self._egress,
            **self._credentials,
            "IAS_API_LISTEN": str(self.ports.api),
            "IAS_PEPPERS_FILE": str(self._peppers),
            "IAS_PUBLIC_URL": self.ports.api.url,
            "IAS_MAIL_FOLDER": str(self.mail),
            "IAS_TOKEN_SECRET_FILE": str(self.home.secret_file("token_secret", random_secret)),
            "IAS_GATEWAY_DIR": str(self.gateway_directory),
            "IAS_GATEWAY_URL": self.ports.gateway.url,
            "IAS_METERING": self.metering,
            "IAS_ENVOY_ADMIN": self.ports.envoy_admin.url,
            "IAS_ENVOY_LOG": str(self._log("envoy")),
            "IAS_METRICS_ADDRESS": str(self.ports.api_metrics),
        }
        program = self._python("api", "controlplane", "api", environment=environment)
        return Service("REST API", program, readiness.answers(f"{self.ports.api.url}/readyz"), after=("setup",))

    def _worker(self) -> Service:
        environment = {
            **self._control_plane_database,
            **self._valkey_url,
            **self._kafka,
            **self._egress,
            "IAS_SPOOL_DIRS": str(self.spool),
            "IAS_SECURITY_DIRS": str(self.security_events),
            "IAS_METRICS_ADDRESS": str(self.ports.worker_metrics),
        }
        program = self._python("worker", "controlplane", "worker", environment=environment)
        return Service("Usage worker", program, readiness.accepts(str(self.ports.worker_metrics)), after=("setup",))

    def _registry(self) -> Service:
        environment = {**self._control_plane_database, "IAS_LISTEN": self.registry_address}
        program = self._python("registry", "controlplane", "registry", environment=environment)
        return Service("Model registry", program, readiness.accepts(self.registry_address), after=("setup",))

    def _extauth(self) -> Service:
        database_url = self.postgres.url(user=database_roles.DATA_PLANE, password_file=self._data_plane_password)
        environment = {
            "IAS_DATABASE_URL_FILE": str(self._private("data_plane_database_url", database_url)),
            **self._valkey_url,
            **self._signing_keys,
            **self._kafka,
            "IAS_SECURITY_DIR": str(self.security_events),
            "IAS_LISTEN": self.extauth_address,
            "IAS_PEPPERS_FILE": str(self._peppers),
            "IAS_METRICS_ADDRESS": str(self.ports.extauth_metrics),
            "IAS_METERING": self.metering,
            **_KEEPS_ITS_MEMORY,
        }
        program = self._python("extauth", "extauth", environment=environment)
        return Service("extauth", program, readiness.accepts(self.extauth_address), after=("setup", "valkey"))

    def _extproc(self) -> Service:
        environment = {
            **self._valkey_url,
            **self._kafka,
            **self._signing_keys,
            "IAS_LISTEN": self.extproc_address,
            "IAS_SPOOL_DIR": str(self.spool),
            "IAS_DRAIN_S": "5",  # Envoy has drained and stopped before
            "IAS_METRICS_ADDRESS": str(self.ports.extproc_metrics),
            **_KEEPS_ITS_MEMORY,
        }
        program = self._python("extproc", "extproc", environment=environment)
        return Service("extproc", program, readiness.accepts(self.extproc_address), after=("valkey",))

    def _envoy(self) -> Service:
        gateway, admin = self.ports.gateway, self.ports.envoy_admin
        parameters = BootstrapParams(
            xds_directory=self.gateway_directory,
            extauth=(self.extauth_address,),
            extproc=(self.extproc_address,),
            metering=self.metering,
            gateway_address=gateway.host,
            gateway_port=gateway.number,
            admin_address=admin.host,
            admin_port=admin.number,
        )
        configuration = self.gateway_directory / "envoy.yaml"
        write_private(configuration, render_bootstrap(parameters))
        arguments = ("-c", str(configuration), "--disable-hot-restart", "--log-level", "warning")
        program = Program("envoy", (str(binaries.find("envoy", "_bin/envoy")), *arguments), self._log("envoy"), stop_s=5)
        return Service("Envoy", program, readiness.answers(f"{admin.url}/ready"), after=("extauth", "extproc"), drain=self._drain_envoy)

    async def _drain_envoy(self) -> None:
        """Accept nothing new and let running requests end, for a bounded time."""
        admin = self.ports.envoy_admin.url
        await readiness.get(f"{admin}/drain_listeners", "POST")
        for _ in range(_DRAIN_S * 10):
            _, body = await readiness.get(f"{admin}/stats?filter=downstream_rq_active")
            running = re.search(r"^http\.gateway\.downstream_rq_active: (\d+)", body, re.MULTILINE)
            if running is None or running[1] == "0":
                return
            await asyncio.sleep(0.1)

    # --- environments ---

    @cached_property
    def _database(self) -> dict[str, str]:
        """As the owner, who migrates."""
        return {"IAS_DATABASE_URL_FILE": str(self._private("database_url", self.postgres.url()))}

    @cached_property
    def _control_plane_database(self) -> dict[str, str]:
        url = self.postgres.url(user=database_roles.CONTROL_PLANE, password_file=self._control_plane_password)
        return {"IAS_DATABASE_URL_FILE": str(self._private("control_plane_database_url", url))}

    @cached_property
    def _valkey_url(self) -> dict[str, str]:
        return {"IAS_VALKEY_URL_FILE": str(self._private("valkey_url", self.valkey.url))}

    @cached_property
    def _egress(self) -> dict[str, str]:
        """This machine's own addresses, those that `--engine` names, and the operator's list."""
        networks = allowed_networks(self.engines.values(), os.environ.get("IAS_EGRESS_ALLOWED_NETWORKS", ""))
        return {"IAS_EGRESS_ALLOWED_NETWORKS_FILE": str(self._private("egress_allowed_networks", networks))}

    @cached_property
    def _credentials(self) -> dict[str, str]:
        """The folder of what engines are shown: the home's own, where an operator may put others."""
        return {"IAS_BACKEND_CREDENTIALS_DIR": str(self.credentials)}

    def _link_credential(self, name: str, file: Path) -> None:
        """Name the file of a person's own, so that what is written there tomorrow is what the engine is shown then."""
        link = self.credentials / name
        link.unlink(missing_ok=True)
        link.symlink_to(file)

    @cached_property
    def _kafka(self) -> dict[str, str]:
        """Our own `IAS_KAFKA_*`, as they are; without a broker events go from disk to disk."""
        return {name: value for name, value in os.environ.items() if name.startswith("IAS_KAFKA_")}

    @cached_property
    def _peppers(self) -> Path:
        return self.home.secret_file("peppers", lambda: json.dumps({"1": random_secret()}))

    @cached_property
    def _signing_keys(self) -> dict[str, str]:
        keys = self.home.secret_file("signing_keys", lambda: json.dumps({"k1": random_secret()}))
        return {"IAS_SIGNING_KEYS_FILE": str(keys), "IAS_SIGNING_KEY_CURRENT": "k1"}

    def _private(self, name: str, text: str) -> Path:
        path = self.home.secrets / name
        write_private(path, text)
        return path

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"

    def _python(self, name: str, module: str, *arguments: str, environment: dict[str, str]) -> Program:
        return Program(name, (sys.executable, "-m", module, *arguments), self._log(name), environment)
