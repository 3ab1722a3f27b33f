"""The vocabulary of the audit log: the names of all routes that write, and the commands that do."""

from collections.abc import Iterable
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from controlplane.routes import WRITES

COMMANDS: Final = {
    "admin.bootstrap": "Make the first System Admin, at the first start.",
    "org.purge": "End a deleted org for good, when its time to be restored is over.",
}
"""What is done outside of REST, with what it does."""


def actions_of(app: FastAPI) -> dict[str, str]:
    """Return every action with what it does, in order."""
    return dict(sorted({**{route.name: _summary(route) for route in _routes(app.routes) if WRITES & (route.methods or set())}, **COMMANDS}.items()))


def _routes(routes: Iterable[object]) -> Iterable[APIRoute]:
    return (route for route in routes if isinstance(route, APIRoute))


def _summary(route: APIRoute) -> str:
    return (route.description or route.summary or "").partition("\n")[0]
