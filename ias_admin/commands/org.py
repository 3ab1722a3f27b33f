"""Orgs."""

from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="Orgs: the tenants.", no_args_is_help=True)


@app.command(epilog=examples('org create "Data Science" --slug data-science'))
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for people.")],
    slug: Annotated[str | None, typer.Option(help="Name for addresses and commands; made from the name if not given.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create an org."""
    body = {"name": name} | ({"slug": slug} if slug else {})
    print_object(client_of(context).post("/org", body), output)


@app.command("list", epilog=examples("org list", "org list -o csv > orgs.csv"))
def list_(context: typer.Context, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the orgs."""
    print_list(list(client_of(context).items("/org", limit)), ["slug", "name", "status", "createdAt", "id"], output)


@app.command(epilog=examples("org show acme"))
def show(context: typer.Context, org: Org, output: Output = Format.TABLE) -> None:
    """Show an org."""
    print_object(client_of(context).get(f"/org/{segment(org)}"), output)


@app.command(epilog=examples("org delete acme --dry-run", "org delete acme --yes"))
def delete(context: typer.Context, org: Org, yes: Yes = False) -> None:
    """Delete an org. Its users and keys stop working at once."""
    confirm(f"Delete the org '{org}' with all its users and keys?", yes)
    client_of(context).delete(f"/org/{segment(org)}")
    say(f"Deleted {org}.")
