"""Options and arguments that several commands share."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ias_admin.output import Format
from ias_admin.prompts import confirm

__all__ = ["From", "Limit", "Org", "Output", "Overlap", "To", "Yes", "confirm", "examples", "period"]

Output = Annotated[Format, typer.Option("--output", "-o", envvar="IAS_ADMIN_OUTPUT", show_envvar=False, help="How to print.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many; all by default.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Overlap = Annotated[float, typer.Option(min=0, max=720, help="How long the secret before stays valid; 0: it stops at once.")]
Org = Annotated[str, typer.Argument(metavar="ORG", help="Slug or id of the org.")]


From = Annotated[datetime | None, typer.Option("--from", help="Begin, UTC, inclusive.")]
To = Annotated[datetime | None, typer.Option("--to", help="End, UTC, exclusive.")]


def period(begin: datetime | None, end: datetime | None) -> dict[str, str]:
    """What the API takes for a period."""
    bounds = {"from": begin, "to": end}
    return {name: moment.replace(tzinfo=UTC).isoformat() for name, moment in bounds.items() if moment}


def examples(*commands: str) -> str:
    """Make the end of a help page; every command has one, and a test parses what it shows."""
    return "\n".join(["\b", "Examples:", *(f"  ias-admin {command}" for command in commands)])
