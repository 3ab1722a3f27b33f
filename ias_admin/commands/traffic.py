"""The option for what connections to engines may take; of a backend, and of a publication."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ias_admin.errors import CommandFailed, ExitCode

Traffic = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="What connections may take: connectTimeoutMs, silenceTimeoutSeconds, answerTimeoutSeconds, maxConnections, maxPendingRequests, "
        "maxRequests; repeatable, 'none' lifts one.",
    ),
]


def traffic_of(settings: Sequence[str] | None) -> dict[str, int | None]:
    """What the API takes for the settings; raises CommandFailed."""
    return dict(_setting(text) for text in settings or ())


def _setting(text: str) -> tuple[str, int | None]:
    name, _, value = text.partition("=")
    if not name or not (value.isdigit() or value == "none"):
        raise CommandFailed(f"--traffic is NAME=VALUE with a whole number or 'none', not '{text}'.", ExitCode.USAGE)
    return name, None if value == "none" else int(value)
