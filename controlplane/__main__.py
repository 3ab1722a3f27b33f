"""`python -m controlplane api|worker|migrate|bootstrap-admin`."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import uvloop
from sqlalchemy.exc import DBAPIError

from controlplane import app
from controlplane.database import DatabaseIsNewer
from controlplane.settings import ApiSettings, DatabaseSettings
from controlplane.usage import app as usage
from controlplane.usage.settings import WorkerSettings
from ias import logs
from ias.settings import Settings, load_or_exit

_S = TypeVar("_S", bound=Settings)

_CANNOT_START = 1
_WRONG_DATABASE = 3

USAGE = """usage: python -m controlplane COMMAND [--help] [--check-config]

commands:
  api              serve the REST API
  worker           write usage events from the spools to the ledger
  migrate          bring the database to this version's schema; safe to repeat
  bootstrap-admin  make the first System Admin and print name and password once, as JSON

Settings come from the environment; '--help' after a command lists them.
Exit status: 0 done, 1 cannot start, 2 wrong settings or usage, 3 the database belongs to a newer version."""


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE)  # noqa: T201 - help is for the terminal
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    match command:
        case "api":
            return _run(command, rest, ApiSettings, app.serve, "The REST API of the control plane.")
        case "worker":
            return _run(command, rest, WorkerSettings, usage.run, "Writes usage events from the spools to the ledger.")
        case "migrate":
            return _run(command, rest, DatabaseSettings, app.migrate, "Brings the database to this version's schema; safe to repeat.")
        case "bootstrap-admin":
            return _run(command, rest, DatabaseSettings, app.bootstrap_admin, "Makes the first System Admin; prints name and password once, as JSON.")
    return _complain(f"there is no command '{command}'\n\n{USAGE}", 2)


def _run(command: str, arguments: Sequence[str], settings_class: type[_S], work: Callable[[_S], Awaitable[None]], summary: str) -> int:
    settings = load_or_exit(settings_class, f"python -m controlplane {command}", summary, arguments)
    logs.configure(f"controlplane-{command}", settings.log_level)

    async def run() -> None:
        await work(settings)

    try:
        uvloop.run(run())
    except DatabaseIsNewer as error:
        return _complain(str(error), _WRONG_DATABASE)
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]  # a timeout has no text
        return _complain(f"{command}: {reason}", _CANNOT_START)
    return 0


def _complain(sentence: str, status: int) -> int:
    print(f"python -m controlplane: {sentence}", file=sys.stderr)  # noqa: T201 - for the terminal
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
