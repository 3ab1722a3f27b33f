"""Every cell of the matrix becomes a reach that is exactly as far as the cell says."""

import pytest

from controlplane.authentication import Principal
from controlplane.authorization import reach_of
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING, Reach
from ias.roles import MATRIX, Permission, Role, Scope

ORG, USER = new_id(), new_id()
REACH = {Scope.ANY: EVERYTHING, Scope.ORG: Reach(ORG), Scope.SELF: Reach(ORG, USER)}


def principal(role: Role) -> Principal:
    return Principal(USER, None if role is Role.SYSTEM_ADMIN else ORG, role, "somebody", new_id())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_the_reach_of_a_permission_is_that_of_the_matrix(role: Role, permission: Permission) -> None:
    scope = MATRIX[role].get(permission)
    assert reach_of(principal(role), (permission,)) == (REACH[scope] if scope else None)


def test_of_several_permissions_the_furthest_counts() -> None:
    both = (Permission.KEYS_OWN, Permission.KEYS_ALL)
    assert reach_of(principal(Role.ORG_USER), both) == Reach(ORG, USER)
    assert reach_of(principal(Role.ORG_ADMIN), both) == Reach(ORG)
    assert reach_of(principal(Role.SYSTEM_ADMIN), both) == EVERYTHING


def test_whoever_has_no_org_reaches_nothing_that_is_meant_for_the_own_org() -> None:
    stray = Principal(USER, None, Role.ORG_ADMIN, "somebody", new_id())
    assert all(reach_of(stray, (permission,)) is None for permission in Permission)
