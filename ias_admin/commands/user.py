"""The users of an org."""

from enum import StrEnum
from typing import Annotated

import typer

from ias_admin.client import segment
from ias_admin.commands.naming import user_id_of
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of

app = typer.Typer(help="The users of an org.", no_args_is_help=True)


User = Annotated[str, typer.Argument(metavar="USER", help="User name or id.")]


class OrgRole(StrEnum):
    """The roles that a user of an org can have."""

    ORG_ADMIN = "org_admin"
    ORG_USER = "org_user"


@app.command(epilog=examples("user add acme ada --role org_admin --email ada@example.com"))
def add(
    context: typer.Context,
    org: Org,
    username: Annotated[str, typer.Argument(help="What the user signs in with.")],
    role: Annotated[OrgRole, typer.Option(help="What the user may do.")] = OrgRole.ORG_USER,
    email: Annotated[str | None, typer.Option(help="Where to reach the user.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Add a user. The control plane makes a password and shows it once."""
    body = {"username": username, "role": role.value} | ({"email": email} if email else {})
    user = client_of(context).post(f"/org/{segment(org)}/user", body)
    print_object(user, output)
    if user.get("initialPassword"):
        say("Hand the password over now: it is not shown again.")


@app.command("list", epilog=examples("user list acme"))
def list_(context: typer.Context, org: Org, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the users of an org."""
    users = client_of(context).items(f"/org/{segment(org)}/user", limit)
    print_list(list(users), ["username", "role", "status", "email", "createdAt", "id"], output)


@app.command(epilog=examples("user show acme ada"))
def show(context: typer.Context, org: Org, user: User, output: Output = Format.TABLE) -> None:
    """Show a user."""
    client = client_of(context)
    print_object(client.get(f"/org/{segment(org)}/user/{segment(user_id_of(client, org, user))}"), output)


@app.command(epilog=examples("user role acme ada org_admin"))
def role(
    context: typer.Context, org: Org, user: User, role: Annotated[OrgRole, typer.Argument(help="The new role.")], output: Output = Format.TABLE
) -> None:
    """Give a user another role; it holds at once."""
    client = client_of(context)
    print_object(client.put(f"/org/{segment(org)}/user/{segment(user_id_of(client, org, user))}/role", {"role": role.value}), output)


@app.command(epilog=examples("user disable acme ada --dry-run", "user disable acme ada --yes"))
def disable(context: typer.Context, org: Org, user: User, yes: Yes = False) -> None:
    """Disable a user until they are enabled. Sessions end and keys stop within a second."""
    client = client_of(context)
    user_id = user_id_of(client, org, user)
    confirm(f"Disable the user '{user}' of '{org}' with all their keys?", yes)
    client.post(f"/org/{segment(org)}/user/{segment(user_id)}/disable")
    say(f"Disabled {user}. Let them in again: ias-admin user enable {org} {user}")


@app.command(epilog=examples("user enable acme ada"))
def enable(context: typer.Context, org: Org, user: User) -> None:
    """Let a disabled user sign in again; their keys work as before."""
    client = client_of(context)
    client.post(f"/org/{segment(org)}/user/{segment(user_id_of(client, org, user))}/enable")
    say(f"Enabled {user}.")


@app.command(epilog=examples("user remove acme ada"))
def remove(context: typer.Context, org: Org, user: User, yes: Yes = False) -> None:
    """Remove a user. Their sessions and keys stop working at once."""
    client = client_of(context)
    user_id = user_id_of(client, org, user)
    confirm(f"Remove the user '{user}' from '{org}' with all their keys?", yes)
    client.delete(f"/org/{segment(org)}/user/{segment(user_id)}")
    say(f"Removed {user}.")
