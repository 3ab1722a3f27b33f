"""`ias-admin`: the commands and how they end."""

import sys
from collections.abc import Sequence
from typing import Annotated

import httpx2
import typer

from ias_admin.commands import audit, backend, budget, key, limits, model, org, session, usage, user
from ias_admin.errors import CommandFailed
from ias_admin.output import say
from ias_admin.session import open_session

_EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong use, 3 not allowed, 4 not found, 5 conflict, 6 unavailable."

app = typer.Typer(
    name="ias-admin",
    help="Administer IAS: orgs, users, API keys, limits, budgets, backends, published models, usage. A client of the REST API.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.command()(session.login)
app.command()(session.logout)
app.command()(session.whoami)
for name, noun in {
    "context": session.contexts,
    "org": org.app,
    "user": user.app,
    "key": key.app,
    "limits": limits.app,
    "budget": budget.app,
    "backend": backend.app,
    "model": model.app,
    "usage": usage.app,
    "audit": audit.app,
}.items():
    app.add_typer(noun, name=name)


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="IAS_ADMIN_URL", help="Address of the control plane.")] = None,
    context_name: Annotated[str | None, typer.Option("--context", envvar="IAS_ADMIN_CONTEXT", help="Named context to use.")] = None,
) -> None:
    """Open the session that the command works with."""
    context.obj = open_session(url, context_name, context.obj)


def main(arguments: Sequence[str] | None = None, transport: httpx2.BaseTransport | None = None) -> None:
    """Run one command and exit with its code. `transport` stands in for the network in tests."""
    try:
        app(list(arguments) if arguments is not None else sys.argv[1:], prog_name="ias-admin", obj=transport)
    except CommandFailed as failure:
        say(f"ias-admin: {failure}")
        raise SystemExit(failure.exit_code) from None
