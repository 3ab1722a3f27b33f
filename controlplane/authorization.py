"""Who may do what: the matrix of `ias.roles`, and nothing else, turned into the reach of a request.

A handler states the permission that it needs, and gets an Access or the client gets 403:

    @router.get("/key", name="key.list")
    async def list_own_keys(access: Annotated[Access, require(Permission.KEYS_OWN)], …)

* `access.reach` says how far the permission goes for this role: any org, the own org, the own rows. Give it to repositories;
  they filter. What is out of reach does not exist: 404, never 403, so that nobody learns of another tenant's objects.
* Several permissions mean "one of them"; the one that reaches furthest counts.
* Every route has exactly one rule: permissions, `SIGNED_IN` or `PUBLIC`. One without does not start (`controlplane.routes`).
* An org named in the path is resolved by `controlplane.orgs.service.find(access, reference)`, within the reach;
  `access.reach.within(org.id)` narrows to it.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Depends, Request

from controlplane import errors
from controlplane.authentication import CurrentPrincipal, Principal, UnitOfWorkNow
from controlplane.idempotency.route import begin
from controlplane.repository import EVERYTHING, Reach
from controlplane.runtime import RuntimeNow
from controlplane.unit_of_work import UnitOfWork
from ias.roles import Permission, Scope, scope_of


@dataclass(frozen=True, slots=True)
class Access:
    """A principal whose role has the permission that the route asked for."""

    uow: UnitOfWork
    principal: Principal
    reach: Reach

    @property
    def user_id(self) -> UUID:
        """The actor."""
        return self.principal.user_id


def reach_of(principal: Principal, permissions: tuple[Permission, ...]) -> Reach | None:
    """The furthest reach that one of the permissions gives; None: the role has none of them."""
    scopes = {scope_of(principal.role, permission) for permission in permissions}
    if Scope.ANY in scopes:
        return EVERYTHING
    if principal.org_id is None:  # own org of somebody without one: nothing
        return None
    if Scope.ORG in scopes:
        return Reach(principal.org_id)
    if Scope.SELF in scopes:
        return Reach(principal.org_id, principal.user_id)
    return None


@dataclass(frozen=True, slots=True)
class Requires:
    """The rule of a route that needs one of some permissions. As a dependency it gives the Access of who has one, and 403 to all others."""

    permissions: tuple[Permission, ...]

    async def __call__(self, request: Request, runtime: RuntimeNow, uow: UnitOfWorkNow, principal: CurrentPrincipal) -> Access:
        """Let the request pass, with the reach that its role gives."""
        reach = reach_of(principal, self.permissions)
        if reach is None:
            raise errors.forbidden()
        await begin(request, runtime.engine, principal.user_id)
        return Access(uow, principal, reach)


def require(*permissions: Permission) -> Any:
    """Make the dependency that lets a route's request pass with one of the permissions."""
    return Depends(Requires(permissions), scope="function")


async def anyone() -> None:
    """The rule of a route that needs no sign-in."""


async def whoever_is_signed_in(request: Request, runtime: RuntimeNow, principal: CurrentPrincipal) -> None:
    """The rule of a route that every role may use, for what is the person's own: the session, the password."""
    await begin(request, runtime.engine, principal.user_id)


PUBLIC: Any = Depends(anyone)
"""`@router.post("/login", dependencies=[PUBLIC], …)`"""

SIGNED_IN: Any = Depends(whoever_is_signed_in, scope="function")
"""`@router.get("/me", dependencies=[SIGNED_IN], …)`"""
