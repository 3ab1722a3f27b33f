"""Whom limits and budgets hold for: an org, a user or a key, found within the reach of who asks.

A route asks for a Target, and the permissions it names decide how far it reaches:

    @router.get("/key/{key_id}/limits", name="key_limits.get")
    async def get(target: Annotated[Target, key_target(Permission.BUDGETS_SET, Permission.KEYS_OWN)]) -> LimitsView:
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from controlplane import errors
from controlplane.accounts.repository import AccountRepository
from controlplane.authorization import Access, require
from controlplane.keys.service import find as find_key
from controlplane.orgs.service import find as find_org
from ias.gateway_views import ChangeKind
from ias.roles import Permission


class Scope(StrEnum):
    """Kinds of subjects."""

    ORG = "org"
    USER = "user"
    KEY = "key"


_CHANGE = {Scope.ORG: ChangeKind.ORG, Scope.USER: ChangeKind.USER, Scope.KEY: ChangeKind.KEY}


@dataclass(frozen=True, slots=True)
class Subject:
    """One of them. `user_id` is the owner: of a user the user, of an org nobody."""

    scope: Scope
    subject_id: UUID
    org_id: UUID
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A subject, and the access through which it was found."""

    access: Access
    subject: Subject

    def changed(self, **facts: object) -> None:
        """Tell the data plane that the subject changed, and the audit log whose it is."""
        subject = self.subject
        self.access.uow.changed(_CHANGE[subject.scope], subject.subject_id)
        self.access.uow.audit(org_id=subject.org_id, **{f"target_{subject.scope}_id": str(subject.subject_id)}, **facts)


def org_target(*permissions: Permission) -> Any:
    """Make the dependency that finds the org of `/org/{org}`."""

    async def find(org: str, access: Annotated[Access, require(*permissions)]) -> Target:
        org_id = (await find_org(access, org)).id
        return Target(access, Subject(Scope.ORG, org_id, org_id))

    return Depends(find, scope="function")


def user_target(*permissions: Permission) -> Any:
    """Make the dependency that finds the user of `/user/{user_id}`; only persons, of an org."""

    async def find(user_id: UUID, access: Annotated[Access, require(*permissions)]) -> Target:
        user = await AccountRepository(access.uow, access.reach).person(user_id)
        if user is None or user.org_id is None:
            raise errors.not_found("user")
        return Target(access, Subject(Scope.USER, user.id, user.org_id, user.id))

    return Depends(find, scope="function")


def key_target(*permissions: Permission) -> Any:
    """Make the dependency that finds the key of `/key/{key_id}`."""

    async def find(key_id: UUID, access: Annotated[Access, require(*permissions)]) -> Target:
        key = await find_key(access, key_id)
        return Target(access, Subject(Scope.KEY, key.id, key.org_id, key.user_id))

    return Depends(find, scope="function")


@dataclass(frozen=True, slots=True)
class Door:
    """Where a kind of subject is reached, and who may read and set what belongs to it."""

    scope: Scope
    path: str
    target: Callable[..., Any]
    readers: tuple[Permission, ...]
    limits_writers: tuple[Permission, ...]
    budget_writers: tuple[Permission, ...]

    def reader(self) -> Any:
        """Dependency of who reads."""
        return self.target(*self.readers)


# An org's rate limits protect everybody else from it, so it cannot set them itself; its budget it may, under a ceiling.
# Whoever owns a key may limit it. A user's own limits and budgets are for the user to read only.
_P = Permission
DOORS = (
    Door(Scope.ORG, "/org/{org}", org_target, (_P.ORG_USAGE_VIEW,), (_P.ORGS_MANAGE,), (_P.BUDGETS_SET,)),
    Door(Scope.USER, "/user/{user_id}", user_target, (_P.BUDGETS_SET, _P.KEYS_OWN), (_P.BUDGETS_SET,), (_P.BUDGETS_SET,)),
    Door(Scope.KEY, "/key/{key_id}", key_target, (_P.BUDGETS_SET, _P.KEYS_OWN), (_P.BUDGETS_SET, _P.KEYS_OWN), (_P.BUDGETS_SET, _P.KEYS_OWN)),
)
