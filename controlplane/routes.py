"""The routes as the application dispatches them, each with its rule: what tests, OpenAPI and the start of the API go over."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant

from controlplane.authorization import Requires, anyone, whoever_is_signed_in
from controlplane.idempotency.route import Route

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MARKS = (anyone, whoever_is_signed_in)

Rule = Any
"""A Requires, or one of the marks `anyone` and `whoever_is_signed_in`."""


class WrongRule(Exception):
    """A route has no rule, or two."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route."""

    method: str
    path: str
    name: str
    """The action that the audit log has of it."""
    rule: Rule
    route: Route

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether it leaves an audit row."""
        return self.method in WRITES

    @property
    def is_public(self) -> bool:
        """Whether it needs no sign-in."""
        return self.rule is anyone


def operations(routers: Iterable[APIRouter]) -> tuple[Operation, ...]:
    """All operations in the order of their routes, paths without `/api`. Raises WrongRule."""
    return tuple(_operations(routers))


def methods_of(known: Iterable[Operation], path: str) -> list[str]:
    """Return the methods that a path has, in order."""
    return sorted({operation.method for operation in known if operation.route.path_regex.match(path)})


def _operations(routers: Iterable[APIRouter]) -> Iterator[Operation]:
    for router in routers:
        for route in router.routes:
            if not isinstance(route, Route):
                raise WrongRule(f"{route}: make the router by controlplane.idempotency.route.Router, its routes by @router.get and the like")
            for method in sorted(route.methods or ()):
                yield Operation(method, route.path, route.name, _rule_of(route), route)


def _rule_of(route: Route) -> Rule:
    found = {call for call in _calls(route.dependant) if isinstance(call, Requires) or call in _MARKS}
    if len(found) == 1:
        return found.pop()
    what = f"{', '.join(sorted(route.methods or ()))} {route.path}"
    if found:
        raise WrongRule(f"{what} has {len(found)} rules: {found}; one must say it all")
    raise WrongRule(f"{what} has no rule: ask for `Annotated[Access, require(Permission.…)]`, or mark it `dependencies=[SIGNED_IN]` or `[PUBLIC]`")


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)
