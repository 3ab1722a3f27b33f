"""Options and arguments that several commands share."""

from typing import Annotated

import typer

from ias_admin.output import Format

Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many; all by default.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Org = Annotated[str, typer.Argument(metavar="ORG", help="Slug or id of the org.")]


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed; without a terminal to ask at, nothing is."""
    if not yes:
        typer.confirm(question, abort=True, err=True)
