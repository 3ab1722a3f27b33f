"""Sign in and out, and tell who is signed in."""

import os
import sys
from dataclasses import replace
from typing import Annotated

import typer

from ias_admin import config
from ias_admin.client import Client
from ias_admin.commands.options import Output
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.session import client_of, session_of

contexts = typer.Typer(help="The control planes that you are signed in to.", no_args_is_help=True)


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the control plane; the context keeps it.")] = None,
    username: Annotated[str | None, typer.Option("--username", "-u", envvar="IAS_ADMIN_USERNAME", help="Who you are; asked if not given.")] = None,
) -> None:
    """Sign in. The password is asked for, or read from stdin, or from IAS_ADMIN_PASSWORD; it is never an argument."""
    session = session_of(context)
    if url:
        session = replace(session, url=url.rstrip("/"))
    name = username or _ask("User name")
    answer = Client(session.url, "", session.transport).post("/admin/login", {"username": name, "password": _password()})
    known = config.load()
    known.contexts[session.context] = config.Context(session.url, answer["user"]["username"], answer["token"], answer["expiresAt"])
    known.current = session.context
    config.save(known)
    say(f"Signed in to {session.url} as {answer['user']['username']} ({answer['user']['role']}) until {answer['expiresAt']}.")


def logout(context: typer.Context) -> None:
    """Forget the sign-in of the context."""
    session = session_of(context)
    known = config.load()
    if known.contexts.pop(session.context, None) is None:
        say("Nobody was signed in.")
        return
    config.save(known)
    say(f"Signed out of {session.context}.")


def whoami(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show who is signed in."""
    print_object(client_of(context).get("/me"), output)


@contexts.command("list")
def list_contexts(output: Output = Format.TABLE) -> None:
    """List the contexts."""
    known = config.load()
    print_list(
        [
            {"name": name, "current": name == known.current, "url": one.url, "username": one.username, "expiresAt": one.expires_at}
            for name, one in sorted(known.contexts.items())
        ],
        ["name", "current", "url", "username", "expiresAt"],
        output,
    )


@contexts.command("use")
def use_context(name: Annotated[str, typer.Argument(help="Name of the context.")]) -> None:
    """Make a context the one in use."""
    known = config.load()
    if name not in known.contexts:
        raise CommandFailed(f"There is no context '{name}'. Make it: ias-admin --context {name} --url URL login", ExitCode.NOT_FOUND)
    known.current = name
    config.save(known)
    say(f"Using {name}: {known.contexts[name].url}")


def _ask(what: str, *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        raise CommandFailed(f"{what} is missing, and there is no terminal to ask at.", ExitCode.USAGE)
    return str(typer.prompt(what, hide_input=hidden, err=True))


def _password() -> str:
    if password := os.environ.get("IAS_ADMIN_PASSWORD"):
        return password
    if sys.stdin.isatty():
        return _ask("Password", hidden=True)
    if password := sys.stdin.readline().rstrip("\r\n"):
        return password
    raise CommandFailed("The password is missing: give it on stdin or in IAS_ADMIN_PASSWORD.", ExitCode.USAGE)
