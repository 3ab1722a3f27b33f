"""What is asked of a person, and how secrets come in: by a file, the environment, stdin or a hidden prompt; never as an argument."""

import os
import sys
from pathlib import Path

import typer

from ias_admin import manners
from ias_admin.errors import CommandFailed, ExitCode

_MAX_SECRET = 10_000


def may_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and not manners.current().no_input


def ask(what: str, *, hidden: bool = False) -> str:
    """Ask for something; raise CommandFailed when nobody can be asked."""
    if not may_ask():
        raise CommandFailed(f"{what} is missing, and there is no terminal to ask at.", ExitCode.USAGE)
    return str(typer.prompt(what, hide_input=hidden, err=True))


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed. Without anybody to ask it needs --yes; a dry run destroys nothing."""
    if yes or manners.current().dry_run:
        return
    if not may_ask():
        raise CommandFailed(f"{question} There is no terminal to ask at: give --yes.", ExitCode.USAGE)
    typer.confirm(question, abort=True, err=True)


def read_secret(what: str, variable: str, file: Path | None = None) -> str:
    """Return a secret from a file, else from an environment variable, else from stdin or a prompt. Raises CommandFailed."""
    if file is not None:
        return _from_file(what, file)
    if secret := os.environ.get(variable):
        return secret
    if may_ask():
        return ask(what, hidden=True)
    if not sys.stdin.isatty() and (secret := sys.stdin.readline(_MAX_SECRET).rstrip("\r\n")):
        return secret
    raise CommandFailed(f"{what} is missing: give it on stdin, in {variable} or in a file.", ExitCode.USAGE)


def _from_file(what: str, file: Path) -> str:
    try:
        with file.open() as opened:
            secret = opened.readline(_MAX_SECRET).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"Cannot read {file}: {error}.", ExitCode.USAGE) from error
    if not secret:
        raise CommandFailed(f"{what} is missing: the first line of {file} is empty.", ExitCode.USAGE)
    return secret
