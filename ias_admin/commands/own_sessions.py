"""Your sessions: see them, and end single ones."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, say
from ias_admin.session import client_of

app = typer.Typer(help="Your sessions, in browsers and on other machines. All at once: ias-admin logout --everywhere", no_args_is_help=True)


@app.command("list", epilog=examples("session list", "session list -o json"))
def list_(context: typer.Context, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List those that have not ended."""
    columns = ["kind", "current", "userAgent", "clientAddress", "createdAt", "lastUsedAt", "expiresAt", "id"]
    print_list(list(client_of(context).items("/me/session", limit)), columns, output)


@app.command(epilog=examples("session end 01970000-0000-7000-8000-000000000000 --yes"))
def end(context: typer.Context, session: Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session.")], yes: Yes = False) -> None:
    """End a session: its next request is refused."""
    confirm(f"End the session {session}?", yes)
    client_of(context).delete(f"/me/session/{segment(session)}")
    say(f"Ended {session}.")
