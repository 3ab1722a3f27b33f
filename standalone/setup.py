"""`python -m standalone.setup`: what a home needs once it has a database; safe to repeat.

Schema, first System Admin, the engines as backends, Envoy's first files. A process of its own: what it loads is gone afterwards.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controlplane import database
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.service import bootstrap_admin
from controlplane.audit.rules import Attempt
from controlplane.backends.credentials import CredentialFolder
from controlplane.backends.health import Thresholds
from controlplane.backends.ports import Probe, Prober
from controlplane.backends.prober_http import HttpProber
from controlplane.backends.repository import BackendRepository
from controlplane.backends.rules import canonical_base_url
from controlplane.database_roles import let_control_plane_work, let_data_plane_read
from controlplane.egress.egress_http import open_egress
from controlplane.gateway.file_xds import write_initial_files
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING
from controlplane.settings import DatabaseSettings, EgressSettings
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.settings import ConfigError
from standalone.home import write_private


async def set_up(
    database_url: str,
    gateway_directory: Path,
    engines: Sequence[tuple[str, str]],
    credentials_directory: Path,
    with_credential: Collection[str],
    password_file: Path,
    control_plane_password: str,
    data_plane_password: str,
) -> None:
    """Bring a database to what the services need. Raises `database.DatabaseIsNewer`."""
    write_initial_files(gateway_directory)
    engine = database.create_engine(database_url, pool_size=1)
    passwords = Passwords()
    try:
        await database.migrate(engine)
        await let_control_plane_work(engine, control_plane_password)
        await let_data_plane_read(engine, data_plane_password)
        async with unit_of_work(engine, Attempt("admin.bootstrap")) as uow:
            if first := await bootstrap_admin(uow, passwords):
                # Before the commit: a password that nobody can read would lock everybody out.
                write_private(password_file, json.dumps({"admin_username": first[0], "admin_password": first[1]}))
        with open_egress(EgressSettings.load().egress_allowed_networks) as egress:
            prober = HttpProber(egress, CredentialFolder(credentials_directory))
            for name, url in engines:
                async with unit_of_work(engine) as uow:
                    await _register(uow, prober, name, url, name if name in with_credential else None)
    finally:
        passwords.close()
        await engine.dispose()


async def _register(uow: UnitOfWork, prober: Prober, name: str, base_url: str, credential: str | None) -> None:
    """Make a backend, or give it its address and credential of today; a dead one is registered as unhealthy."""
    repository = BackendRepository(uow, EVERYTHING)
    verdict = await prober.probe(Probe(base_url, credential=credential))
    now = datetime.now(UTC)
    if (found := await repository.find(name, for_update=True)) is None:
        backend_id = new_id()
        await repository.add({"id": backend_id, "name": name, "base_url": base_url, "credential": credential})
    else:
        backend_id = found.id
        await repository.change(backend_id, {"base_url": base_url} | ({"credential": credential} if credential else {}))
    await repository.record(backend_id, verdict, now, Thresholds(), decides=True)


def main() -> int:
    """Read the arguments and the environment, do it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m standalone.setup", description="Prepare the database of a standalone service.")
    parser.add_argument("--gateway-directory", type=Path, required=True, help="folder of Envoy's file xDS")
    parser.add_argument("--password-file", type=Path, required=True, help="where the first administrator's credentials are written")
    parser.add_argument("--control-plane-password-file", type=Path, required=True, help="password of the database role that API and worker use")
    parser.add_argument("--data-plane-password-file", type=Path, required=True, help="password of the database role that extauth uses")
    parser.add_argument("--backend", action="append", default=[], metavar="NAME=URL", help="an engine to register")
    parser.add_argument("--credentials-directory", type=Path, required=True, help="folder of the credentials that engines are shown")
    parser.add_argument("--credential", action="append", default=[], metavar="NAME", help="an engine that is shown the credential of its name")
    arguments = parser.parse_args()
    try:
        engines = [(name, canonical_base_url(url)) for name, _, url in (value.partition("=") for value in arguments.backend)]
        url = DatabaseSettings.load().database_url.get_secret_value()
        passwords = [file.read_text().strip() for file in (arguments.control_plane_password_file, arguments.data_plane_password_file)]
        asyncio.run(
            set_up(
                url, arguments.gateway_directory, engines, arguments.credentials_directory, arguments.credential, arguments.password_file, *passwords
            )
        )
    except (ConfigError, ValueError, OSError, database.DatabaseIsNewer) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
