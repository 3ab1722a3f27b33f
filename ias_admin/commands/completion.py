"""Completion of commands and options in a shell."""

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script


class Shell(StrEnum):
    """The shells that can."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print the script that completes ias-admin in a shell."""
    typer.echo(get_completion_script(prog_name="ias-admin", complete_var="_IAS_ADMIN_COMPLETE", shell=shell.value))
