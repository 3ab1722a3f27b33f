"""Invites: how people come into an org."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ias_admin.client import Json, segment
from ias_admin.commands.options import Limit, Org, Output, Yes, confirm, examples
from ias_admin.commands.password import NewPasswordFile, link_token, new_password
from ias_admin.commands.session import keep
from ias_admin.commands.user import OrgRole
from ias_admin.errors import CommandFailed
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of, session_of

app = typer.Typer(help="Invites: how people come into an org.", no_args_is_help=True)
InviteId = Annotated[str, typer.Argument(metavar="INVITE", help="Id of the invite.")]


@app.command(epilog=examples("invite create acme ada@example.com --role org_admin"))
def create(
    context: typer.Context,
    org: Org,
    email: Annotated[str, typer.Argument(help="Where the link goes.")],
    role: Annotated[OrgRole, typer.Option(help="What the user may do.")] = OrgRole.ORG_USER,
    output: Output = Format.TABLE,
) -> None:
    """Invite somebody by mail: the link sets a password, once."""
    _show(client_of(context).post(f"/org/{segment(org)}/invite", {"email": email, "role": role.value}), output)


@app.command("list", epilog=examples("invite list acme"))
def list_(context: typer.Context, org: Org, limit: Limit = None, output: Output = Format.TABLE) -> None:
    """List the invites of an org, answered ones too."""
    invites = client_of(context).items(f"/org/{segment(org)}/invite", limit)
    print_list(list(invites), ["email", "role", "status", "sentAt", "expiresAt", "id"], output)


@app.command(epilog=examples("invite resend acme 01970000-0000-7000-8000-000000000000"))
def resend(context: typer.Context, org: Org, invite: InviteId, output: Output = Format.TABLE) -> None:
    """Send an invite again, with another link; the one before is worthless."""
    _show(client_of(context).post(f"/org/{segment(org)}/invite/{segment(invite)}/resend"), output)


@app.command(epilog=examples("invite revoke acme 01970000-0000-7000-8000-000000000000"))
def revoke(context: typer.Context, org: Org, invite: InviteId, yes: Yes = False) -> None:
    """Revoke an invite: its link is worthless at once."""
    confirm(f"Revoke the invite {invite}?", yes)
    client_of(context).delete(f"/org/{segment(org)}/invite/{segment(invite)}")
    say(f"Revoked {invite}.")


@app.command(epilog=examples("invite accept", "invite accept --username ada --link-file link --new-password-file new"))
def accept(
    context: typer.Context,
    username: Annotated[str | None, typer.Option("--username", "-u", help="What you will sign in with; the e-mail address if not given.")] = None,
    link_file: Annotated[Path | None, typer.Option(help="File with the link in its first line.")] = None,
    new_password_file: NewPasswordFile = None,
) -> None:
    """Accept an invite: set a password, and be signed in. Link and password come from files, the environment, stdin or a prompt."""
    session = session_of(context)
    body = {"token": link_token(link_file), "password": new_password(new_password_file)} | ({"username": username} if username else {})
    keep(session, replace(session, token="").client().post("/invite/accept", body))


def _show(sent: Json, output: Format) -> None:
    print_object(sent, output)
    if sent["delivery"] == "failed":
        raise CommandFailed(f"The invite is there, its mail is not: {sent['deliveryProblem']} Then: ias-admin invite resend")
    if sent.get("link"):
        say("Hand the link over, if the mail does not reach them: it is not shown again.")
