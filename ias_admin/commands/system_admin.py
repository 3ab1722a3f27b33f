"""System Admins: who administrates the whole service."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="System Admins: who administrates the whole service. One is always left.", no_args_is_help=True)


@app.command(epilog=examples("system-admin add grace --email grace@example.com"))
def add(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="What they sign in with.")],
    email: Annotated[str | None, typer.Option(help="Where to reach them.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Add a System Admin. The control plane makes a password and shows it once."""
    print_object(client_of(context).post("/system-admin", {"username": username} | ({"email": email} if email else {})), output)
    say("Hand the password over now: it is not shown again.")


@app.command("list", epilog=examples("system-admin list"))
def list_(context: typer.Context, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the System Admins."""
    print_list(list(client_of(context).items("/system-admin", limit)), ["username", "status", "email", "createdAt", "id"], output)


@app.command(epilog=examples("system-admin remove 01970000-0000-7000-8000-000000000000"))
def remove(context: typer.Context, admin: Annotated[str, typer.Argument(metavar="ID", help="Id of the System Admin.")], yes: Yes = False) -> None:
    """Remove another System Admin. Their sessions end at once."""
    confirm(f"Remove the System Admin {admin}?", yes)
    client_of(context).delete(f"/system-admin/{segment(admin)}")
    say(f"Removed {admin}.")
