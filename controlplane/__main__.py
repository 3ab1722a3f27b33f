"""`python -m controlplane api|worker|registry|migrate|bootstrap-admin|verify-audit|reconcile`."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import asyncpg
import uvloop
from sqlalchemy.exc import DBAPIError

from controlplane import app
from controlplane.database import DatabaseIsNewer
from controlplane.gateway.ports import GatewayUnreachable
from controlplane.kubernetes.profile import ProfileInvalid
from controlplane.registry import app as registry
from controlplane.registry.settings import RegistrySettings
from controlplane.settings import ApiSettings, DatabaseSettings, MigrateSettings, ReconcileSettings, VerifyAuditSettings
from controlplane.usage import app as usage
from controlplane.usage.settings import WorkerSettings
from ias import logs
from ias.settings import Settings, load_or_exit
from ratelimit.ports import StoreUnavailable

_S = TypeVar("_S", bound=Settings)

_CANNOT_START = 1
_WRONG_DATABASE = 3

USAGE = """usage: python -m controlplane COMMAND [--help] [--check-config]

commands:
  api              serve the REST API
  worker           write usage events from the spools, or from Kafka, to the ledger
  registry         answer over gRPC what a model is for an org
  migrate          bring the database to this version's schema; safe to repeat
  bootstrap-admin  make the first System Admin and print name and password once, as JSON
  verify-audit     check that the audit log is what was sealed, batch by batch
  reconcile        compare what admission counts of every budget, and what engines count, with the ledger

Settings come from the environment; '--help' after a command lists them.
Exit status: 0 done, 1 cannot start, or a difference or a broken seal was found, 2 wrong settings or usage,
3 the database belongs to a newer version."""


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE)  # noqa: T201 - help is for the terminal
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        return _complain(f"there is no command '{command}'\n\n{USAGE}", 2)
    return _COMMANDS[command](command, rest)


def _run(settings_class: type[_S], work: Callable[[_S], Awaitable[int | None]], summary: str, command: str, arguments: Sequence[str]) -> int:
    settings = load_or_exit(settings_class, f"python -m controlplane {command}", summary, arguments)
    logs.configure(f"controlplane-{command}", settings.log_level)

    async def run() -> int | None:
        return await work(settings)

    try:
        return uvloop.run(run()) or 0
    except DatabaseIsNewer as error:
        return _complain(str(error), _WRONG_DATABASE)
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, StoreUnavailable, ProfileInvalid, GatewayUnreachable) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]  # a timeout has no text
        return _complain(f"{command}: {reason}", _CANNOT_START)


def _complain(sentence: str, status: int) -> int:
    print(f"python -m controlplane: {sentence}", file=sys.stderr)  # noqa: T201 - for the terminal
    return status


_COMMANDS: dict[str, Callable[[str, Sequence[str]], int]] = {
    "api": partial(_run, ApiSettings, app.serve, "The REST API of the control plane."),
    "worker": partial(_run, WorkerSettings, usage.run, "Writes usage events from the spools, or from Kafka, to the ledger."),
    "registry": partial(_run, RegistrySettings, registry.run, "Answers over gRPC what a model is for an org, from memory."),
    "migrate": partial(_run, MigrateSettings, app.migrate, "Brings the database to this version's schema, and its roles; safe to repeat."),
    "verify-audit": partial(_run, VerifyAuditSettings, app.verify_audit, "Checks that the audit log is what was sealed; 1: it is not."),
    "bootstrap-admin": partial(_run, DatabaseSettings, app.bootstrap_admin, "Makes the first System Admin; prints name and password once, as JSON."),
    "reconcile": partial(
        _run,
        ReconcileSettings,
        app.reconcile,
        "Compares the ledger with what admission counts of every budget, and with what engines count; 1: they differ.",
    ),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
