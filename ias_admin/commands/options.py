"""Options and arguments that several commands share."""

from typing import Annotated

import typer

from ias_admin.output import Format
from ias_admin.prompts import confirm

__all__ = ["Limit", "Org", "Output", "Overlap", "Yes", "confirm", "examples"]

Output = Annotated[Format, typer.Option("--output", "-o", envvar="IAS_ADMIN_OUTPUT", show_envvar=False, help="How to print.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many; all by default.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Overlap = Annotated[float, typer.Option(min=0, max=720, help="How long the secret before stays valid; 0: it stops at once.")]
Org = Annotated[str, typer.Argument(metavar="ORG", help="Slug or id of the org.")]


def examples(*commands: str) -> str:
    """Make the end of a help page; every command has one, and a test parses what it shows."""
    return "\n".join(["\b", "Examples:", *(f"  ias-admin {command}" for command in commands)])
