"""`ias-admin`: the commands and how they end."""

import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Annotated

import httpx2
import typer

from ias_admin import manners
from ias_admin.client import Previewed
from ias_admin.commands import (
    approval,
    audit,
    backend,
    budget,
    catalog,
    completion,
    event,
    explain,
    invite,
    key,
    limits,
    model,
    org,
    own_sessions,
    password,
    publish,
    quota,
    service_account,
    session,
    system_admin,
    usage,
    user,
)
from ias_admin.commands.options import examples
from ias_admin.errors import CommandFailed
from ias_admin.output import complain, print_document, say
from ias_admin.session import open_session

_EPILOG = """\b
Examples:
  ias-admin --url https://ias.example.com login --username ada
  ias-admin org list -o json
  ias-admin --context staging --dry-run org delete acme

--quiet, --no-input and --dry-run may also stand behind the command. What is not given as an option is taken from the environment,
then from the context, then by default. Data goes to stdout, talk to stderr.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 not allowed, 4 not found, 5 conflict, 6 unavailable.
"""
_ANYWHERE = frozenset({"--quiet", "-q", "--no-input", "--dry-run"})

app = typer.Typer(
    name="ias-admin",
    help="Administer IAS: orgs, users, API keys, limits, budgets, backends, published models, usage. A client of the REST API.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.command(epilog=examples("login --url https://ias.example.com --username ada", "login -u ci --password-file /run/secrets/ias"))(session.login)
app.command(epilog=examples("logout", "logout --everywhere"))(session.logout)
app.command(epilog=examples("whoami"))(session.whoami)
app.command(epilog=examples("completion bash > ~/.local/share/bash-completion/completions/ias-admin"))(completion.completion)
app.command(epilog=examples("explain 8f14e45f-ceea-467f-a8b7-0d1c2e3f4a5b", "explain 8f14e45f-ceea-467f-a8b7-0d1c2e3f4a5b -o json"))(explain.explain)
for name, noun in {
    "context": session.contexts,
    "session": own_sessions.app,
    "org": org.app,
    "user": user.app,
    "invite": invite.app,
    "service-account": service_account.app,
    "password": password.app,
    "system-admin": system_admin.app,
    "key": key.app,
    "limits": limits.app,
    "budget": budget.app,
    "quota": quota.app,
    "backend": backend.app,
    "catalog": catalog.app,
    "approval": approval.app,
    "model": model.app,
    "publish": publish.app,
    "usage": usage.app,
    "audit": audit.app,
    "event": event.app,
}.items():
    app.add_typer(noun, name=name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(installed_version("ias-gateway"))
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="IAS_ADMIN_URL", help="Address of the control plane.")] = None,
    context_name: Annotated[str | None, typer.Option("--context", envvar="IAS_ADMIN_CONTEXT", help="Named context to use.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", envvar="IAS_ADMIN_QUIET", help="Say nothing but errors.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", envvar="IAS_ADMIN_NO_INPUT", help="Never ask, fail instead.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the request that would change something, and do not send it.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Open the session that the command works with."""
    manners.use(manners.Manners(quiet, no_input, dry_run))
    context.obj = open_session(url, context_name, context.obj)


def main(arguments: Sequence[str] | None = None, transport: httpx2.BaseTransport | None = None) -> None:
    """Run one command and exit with its code. `transport` stands in for the network in tests."""
    given = list(arguments) if arguments is not None else sys.argv[1:]
    try:
        app(_globals_first(given), prog_name="ias-admin", obj=transport)
    except CommandFailed as failure:
        complain(f"ias-admin: {failure}")
        raise SystemExit(failure.exit_code) from None
    except Previewed as preview:
        print_document(preview.request)
        say("Nothing was changed: this was a dry run.")
        raise SystemExit(0) from None


def _globals_first(arguments: Sequence[str]) -> list[str]:
    """Let the switches of `ias-admin` itself stand anywhere, as people write them; after `--` everything is a value."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    switches = [one for one in arguments[:end] if one in _ANYWHERE]
    return [*switches, *(one for one in arguments[:end] if one not in _ANYWHERE), *arguments[end:]]
