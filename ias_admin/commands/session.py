"""Sign in and out, and tell who is signed in."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ias_admin import config
from ias_admin.client import Json, check_address
from ias_admin.commands.options import Output, examples
from ias_admin.errors import CommandFailed, ExitCode
from ias_admin.output import Format, print_list, print_object, say
from ias_admin.prompts import ask, read_secret
from ias_admin.session import Session, client_of, session_of

contexts = typer.Typer(help="Named control planes, each with its address and your sign-in.", no_args_is_help=True)


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the control plane; the context keeps it.")] = None,
    username: Annotated[str | None, typer.Option("--username", "-u", envvar="IAS_ADMIN_USERNAME", help="Who you are; asked if not given.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password in its first line.")] = None,
) -> None:
    """Sign in. The password comes from a file, IAS_ADMIN_PASSWORD, stdin or a prompt; it is never an argument."""
    session = session_of(context)
    if url:
        session = replace(session, url=url.rstrip("/"))
    name = username or ask("User name")
    password = read_secret("Password", "IAS_ADMIN_PASSWORD", password_file)
    answer = replace(session, token="").client().post("/admin/login", {"username": name, "password": password})
    keep(session, answer)


def keep(session: Session, answer: Json) -> None:
    """Remember a session that began, in its context."""
    known = config.load()
    known.contexts[session.context] = config.Context(session.url, answer["user"]["username"], answer["token"], answer["expiresAt"])
    known.current = session.context
    config.save(known)
    say(f"Signed in to {session.url} as {answer['user']['username']} ({answer['user']['role']}) until {answer['expiresAt']}.")


def logout(
    context: typer.Context,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="End all your sessions, in browsers and on other machines too.")] = False,
) -> None:
    """End the session of the context, and forget it."""
    session = session_of(context)
    known = config.load()
    if not session.token:
        say("Nobody was signed in.")
        return
    _end(session, everywhere)
    if (kept := known.contexts.get(session.context)) and kept.token == session.token:
        del known.contexts[session.context]
        config.save(known)
    say(f"Signed out of {session.context}{' and everywhere else' if everywhere else ''}.")


def _end(session: Session, everywhere: bool) -> None:
    try:
        session.client().delete("/session", everywhere="true" if everywhere else None)
    except CommandFailed as failure:
        if everywhere or failure.exit_code is not ExitCode.AUTH:  # a session that has ended is what was wanted
            raise


def whoami(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show who is signed in."""
    print_object(client_of(context).get("/me"), output)


@contexts.command("list", epilog=examples("context list"))
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


@contexts.command("use", epilog=examples("context use staging"))
def use_context(name: Annotated[str, typer.Argument(help="Name of the context.")]) -> None:
    """Make a context the one in use."""
    known = config.load()
    if name not in known.contexts:
        raise CommandFailed(f"There is no context '{name}'. Make it: ias-admin --context {name} --url URL login", ExitCode.NOT_FOUND)
    known.current = name
    config.save(known)
    say(f"Using {name}: {known.contexts[name].url}")


@contexts.command("set", epilog=examples("context set staging --url https://ias.staging.example.com --use"))
def set_context(
    name: Annotated[str, typer.Argument(help="Name of the context.")],
    url: Annotated[str, typer.Option(help="Address of the control plane.")],
    use: Annotated[bool, typer.Option("--use", help="Make it the one in use.")] = False,
) -> None:
    """Make a context, or give it another address: that forgets its sign-in."""
    check_address(url)
    known, address = config.load(), url.rstrip("/")
    if name not in known.contexts or known.contexts[name].url != address:
        known.contexts[name] = config.Context(address)
    if use:
        known.current = name
    config.save(known)
    say(f"{name}: {address}")


@contexts.command("delete", epilog=examples("context delete staging"))
def delete_context(name: Annotated[str, typer.Argument(help="Name of the context.")]) -> None:
    """Forget a context with its sign-in."""
    known = config.load()
    if known.contexts.pop(name, None) is None:
        raise CommandFailed(f"There is no context '{name}'.", ExitCode.NOT_FOUND)
    config.save(known)
    say(f"Forgot {name}.")
