"""Whom a command about limits or budgets means: an org, a user or a key."""

from typing import Annotated

import typer

from ias_admin.client import Client, segment
from ias_admin.commands.naming import user_id_of
from ias_admin.errors import CommandFailed, ExitCode

OrgOption = Annotated[str | None, typer.Option("--org", metavar="ORG", help="An org: slug or id.")]
UserOption = Annotated[str | None, typer.Option("--user", metavar="USER", help="A user: id, or with --org a user name.")]
KeyOption = Annotated[str | None, typer.Option("--key", metavar="KEY", help="A key: id.")]


def path_of(client: Client, org: str | None, user: str | None, key: str | None) -> str:
    """Return the path of whom the options mean."""
    if key and not (org or user):
        return f"/key/{segment(key)}"
    if user and not key:
        return f"/user/{segment(user_id_of(client, org, user) if org else user)}"
    if org and not key:
        return f"/org/{segment(org)}"
    raise CommandFailed("Whose? Give one of --org, --user (an id, or a name with --org) and --key.", ExitCode.USAGE)
