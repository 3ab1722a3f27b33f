"""`python -m controlplane api|worker|registry|migrate|bootstrap-admin|verify-audit|reconcile`."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import asyncpg
import uvloop
from sqlalchemy.exc import DBAPIError

from controlplane.database import DatabaseIsNewer
from controlplane.gateway.ports import GatewayUnreachable
from controlplane.kubernetes.profile import ProfileInvalid
from controlplane.registry.settings import RegistrySettings
from controlplane.settings import ApiSettings, DatabaseSettings, MigrateSettings, ReconcileSettings, VerifyAuditSettings
from controlplane.usage.settings import WorkerSettings
from ias import logs
from ias.settings import Settings, load_or_exit
from ratelimit.ports import StoreUnavailable

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


@dataclass(frozen=True, slots=True)
class _Command:
    """A coroutine function of its settings. Only the module of the command that is asked for is imported: those of the API take a second."""

    module: str
    function: str
    settings: type[Settings]
    summary: str

    def work(self) -> Callable[[Settings], Awaitable[int | None]]:
        found: Callable[[Settings], Awaitable[int | None]] = getattr(import_module(self.module), self.function)
        return found


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE)  # noqa: T201 - help is for the terminal
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        return _complain(f"there is no command '{command}'\n\n{USAGE}", 2)
    return _run(command, _COMMANDS[command], rest)


def _run(name: str, command: _Command, arguments: Sequence[str]) -> int:
    settings = load_or_exit(command.settings, f"python -m controlplane {name}", command.summary, arguments)
    logs.configure(f"controlplane-{name}", settings.log_level)
    work = command.work()

    async def run() -> int | None:
        return await work(settings)

    try:
        return uvloop.run(run()) or 0
    except DatabaseIsNewer as error:
        return _complain(str(error), _WRONG_DATABASE)
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, StoreUnavailable, ProfileInvalid, GatewayUnreachable) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]  # a timeout has no text
        return _complain(f"{name}: {reason}", _CANNOT_START)


def _complain(sentence: str, status: int) -> int:
    print(f"python -m controlplane: {sentence}", file=sys.stderr)  # noqa: T201 - for the terminal
    return status


_ONCE = "controlplane.commands"
_COMMANDS = {
    "api": _Command("controlplane.app", "serve", ApiSettings, "The REST API of the control plane."),
    "worker": _Command("controlplane.usage.app", "run", WorkerSettings, "Writes usage events from the spools, or from Kafka, to the ledger."),
    "registry": _Command("controlplane.registry.app", "run", RegistrySettings, "Answers over gRPC what a model is for an org, from memory."),
    "migrate": _Command(_ONCE, "migrate", MigrateSettings, "Brings the database to this version's schema, and its roles; safe to repeat."),
    "verify-audit": _Command(_ONCE, "verify_audit", VerifyAuditSettings, "Checks that the audit log is what was sealed; 1: it is not."),
    "bootstrap-admin": _Command(_ONCE, "bootstrap_admin", DatabaseSettings, "Makes the first System Admin; prints name and password once, as JSON."),
    "reconcile": _Command(
        _ONCE,
        "reconcile",
        ReconcileSettings,
        "Compares the ledger with what admission counts of every budget, and with what engines count; 1: they differ.",
    ),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
