"""Service accounts: identities for programs."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.naming import service_account_id_of
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Service accounts: identities for programs. They cannot sign in; an org admin makes their keys.", no_args_is_help=True)
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name or id of the service account.")]


@app.command(epilog=examples("service-account create acme ci-pipeline"))
def create(context: typer.Context, org: Org, name: Annotated[str, typer.Argument(help="What it is for.")], output: Output = Format.TABLE) -> None:
    """Create a service account."""
    print_object(client_of(context).post(f"/org/{segment(org)}/service-account", {"name": name}), output)


@app.command("list", epilog=examples("service-account list acme"))
def list_(context: typer.Context, org: Org, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the service accounts of an org."""
    accounts = client_of(context).items(f"/org/{segment(org)}/service-account", limit)
    print_list(list(accounts), ["name", "status", "createdAt", "id"], output)


@app.command(epilog=examples("service-account disable acme ci-pipeline --yes"))
def disable(context: typer.Context, org: Org, account: Account, yes: Yes = False) -> None:
    """Disable a service account: its keys stop within a second, until it is enabled."""
    client = client_of(context)
    account_id = service_account_id_of(client, org, account)
    confirm(f"Disable the service account '{account}' of '{org}' with all its keys?", yes)
    client.post(f"/org/{segment(org)}/service-account/{segment(account_id)}/disable")
    say(f"Disabled {account}. Let it work again: ias-admin service-account enable {org} {account}")


@app.command(epilog=examples("service-account enable acme ci-pipeline"))
def enable(context: typer.Context, org: Org, account: Account) -> None:
    """Let a disabled service account work again."""
    client = client_of(context)
    client.post(f"/org/{segment(org)}/service-account/{segment(service_account_id_of(client, org, account))}/enable")
    say(f"Enabled {account}.")


@app.command(epilog=examples("service-account delete acme ci-pipeline --dry-run", "service-account delete acme ci-pipeline --yes"))
def delete(context: typer.Context, org: Org, account: Account, yes: Yes = False) -> None:
    """Delete a service account; its keys stop at once."""
    client = client_of(context)
    account_id = service_account_id_of(client, org, account)
    confirm(f"Delete the service account '{account}' of '{org}' with all its keys?", yes)
    client.delete(f"/org/{segment(org)}/service-account/{segment(account_id)}")
    say(f"Deleted {account}.")
