"""The own password: change it, or set another when it is forgotten."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ias_admin.commands.options import examples
from ias_admin.commands.session import keep
from ias_admin.output import say
from ias_admin.prompts import ask, read_secret
from ias_admin.session import client_of, session_of

app = typer.Typer(help="Your password.", no_args_is_help=True)
NewPasswordFile = Annotated[Path | None, typer.Option(help="File with the new password in its first line.")]


def new_password(file: Path | None) -> str:
    """Take a new password from a file, IAS_ADMIN_NEW_PASSWORD, stdin or a prompt."""
    return read_secret("New password", "IAS_ADMIN_NEW_PASSWORD", file)


def link_token(file: Path | None) -> str:
    """Take a link, or the token in it, from a file, IAS_ADMIN_LINK, stdin or a prompt: it is as good as a password."""
    return read_secret("Link", "IAS_ADMIN_LINK", file).rpartition("#token=")[2]


@app.command(epilog=examples("password change", "password change --password-file old --new-password-file new"))
def change(
    context: typer.Context,
    password_file: Annotated[Path | None, typer.Option(help="File with the current password in its first line.")] = None,
    new_password_file: NewPasswordFile = None,
) -> None:
    """Change your password. All your other sessions end. Passwords come from files, the environment, stdin or a prompt."""
    current = read_secret("Current password", "IAS_ADMIN_PASSWORD", password_file)
    client_of(context).post("/me/password", {"currentPassword": current, "newPassword": new_password(new_password_file)})
    say("The password is changed; your other sessions have ended.")


@app.command(epilog=examples("password reset ada@example.com", "password reset --link-file link --new-password-file new"))
def reset(
    context: typer.Context,
    username: Annotated[str | None, typer.Argument(help="User name or e-mail address: asks for a mail with a link.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Set the password by the link of such a mail, which is asked for.")] = False,
    link_file: Annotated[Path | None, typer.Option(help="The same, with the link in the first line of a file.")] = None,
    new_password_file: NewPasswordFile = None,
) -> None:
    """Set another password when you forgot it: first ask for a mail, then give its link."""
    session = session_of(context)
    stranger = replace(session, token="").client()
    if not (link or link_file):
        stranger.post("/password-reset", {"username": username or ask("User name")})
        say("If there is such an account and it has an e-mail address, a link is on its way. Then: ias-admin password reset --link")
        return
    body = {"token": link_token(link_file), "newPassword": new_password(new_password_file)}
    keep(session, stranger.post("/password-reset/complete", body))
