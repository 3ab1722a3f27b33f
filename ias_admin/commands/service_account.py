"""Service accounts: identities for programs."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Service accounts: identities for programs, which cannot sign in; an org admin makes their keys.", no_args_is_help=True)


@app.command(epilog=examples("service-account create acme ci-pipeline"))
def create(context: typer.Context, org: Org, name: Annotated[str, typer.Argument(help="What it is for.")], output: Output = Format.TABLE) -> None:
    """Create a service account."""
    print_object(client_of(context).post(f"/org/{segment(org)}/service-account", {"name": name}), output)


@app.command("list", epilog=examples("service-account list acme"))
def list_(context: typer.Context, org: Org, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the service accounts of an org."""
    accounts = client_of(context).items(f"/org/{segment(org)}/service-account", limit)
    print_list(list(accounts), ["name", "status", "createdAt", "id"], output)


@app.command(epilog=examples("service-account delete acme 01970000-0000-7000-8000-000000000000"))
def delete(
    context: typer.Context, org: Org, account: Annotated[str, typer.Argument(metavar="ID", help="Id of the service account.")], yes: Yes = False
) -> None:
    """Delete a service account; its keys stop at once."""
    confirm(f"Delete the service account {account} of '{org}' with all its keys?", yes)
    client_of(context).delete(f"/org/{segment(org)}/service-account/{segment(account)}")
    say(f"Deleted {account}.")
