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


@app.command(epilog=examples('org rename acme "Acme & Sons"'))
def rename(context: typer.Context, org: Org, name: Annotated[str, typer.Argument(help="The new name.")], output: Output = Format.TABLE) -> None:
    """Give an org another name; its slug stays."""
    print_object(client_of(context).put(f"/org/{segment(org)}", {"name": name}), output)


@app.command(epilog=examples("org suspend acme --yes"))
def suspend(context: typer.Context, org: Org, yes: Yes = False) -> None:
    """Suspend an org: its keys and sign-ins stop within a second, until it is resumed."""
    confirm(f"Suspend the org '{org}' with all its keys?", yes)
    client_of(context).post(f"/org/{segment(org)}/suspend")
    say(f"Suspended {org}. Let it go on: ias-admin org resume {org}")


@app.command(epilog=examples("org resume acme"))
def resume(context: typer.Context, org: Org) -> None:
    """Let a suspended org go on."""
    client_of(context).post(f"/org/{segment(org)}/resume")
    say(f"Resumed {org}.")


@app.command(epilog=examples("org delete acme --dry-run", "org delete acme --yes", "org delete acme --purge --yes"))
def delete(
    context: typer.Context,
    org: Org,
    purge: Annotated[bool, typer.Option("--purge", help="For good: leave no time to restore it.")] = False,
    yes: Yes = False,
) -> None:
    """Delete an org. Its users and keys stop working at once; for a while it can be restored."""
    confirm(f"Delete the org '{org}' with all its users and keys{' for good' if purge else ''}?", yes)
    client_of(context).delete(f"/org/{segment(org)}", purge="true" if purge else None)
    say(f"Deleted {org}." if purge else f"Deleted {org}. Take it back: ias-admin org restore {org}")


@app.command(epilog=examples("org restore acme"))
def restore(context: typer.Context, org: Org) -> None:
    """Take the deletion of an org back: people and keys are as before."""
    client_of(context).post(f"/org/{segment(org)}/restore")
    say(f"Restored {org}.")
