"""The roles are those of seed 004 §2.2, cell by cell, and what seed 003 adds. These tables are typed from the documents, not from the code."""

import pytest

from ias.roles import Permission, Role, Scope, scope_of

ANY, OWN_ORG, OWN, NO = Scope.ANY, Scope.ORG, Scope.SELF, None
P = Permission

#   action of the document                              permission              System Admin  Org Admin  Org User
SEED_004_2_2 = [
    ("View System-wide Usage Dashboard", P.SYSTEM_USAGE_VIEW, ANY, NO, NO),
    ("Manage Model Mappings", P.MODELS_MANAGE, ANY, NO, NO),
    ("Create / Manage Organizations", P.ORGS_MANAGE, ANY, NO, NO),
    ("View Org Usage Dashboard", P.ORG_USAGE_VIEW, ANY, OWN_ORG, OWN_ORG),
    ("Invite / Remove Users from Org", P.USERS_MANAGE, ANY, OWN_ORG, NO),
    ("Set / Adjust Org Budgets", P.BUDGETS_SET, ANY, OWN_ORG, NO),
    ("Create API Key", P.KEYS_CREATE, NO, OWN_ORG, OWN_ORG),
    ("View / Revoke Own API Keys", P.KEYS_OWN, NO, OWN, OWN),
    ("View / Revoke All Org API Keys", P.KEYS_ALL, ANY, OWN_ORG, NO),
    ("View Org Audit Logs", P.AUDIT_VIEW, ANY, OWN_ORG, NO),
    ("Call Inference API (with valid key)", P.INFERENCE_CALL, NO, OWN_ORG, OWN_ORG),
]
# Seed 003 knows a tenant's admin, who approves, and says of nobody else; whoever calls models of an org may see which they are, and ask for others.
SEED_003 = [
    ("See which models the org may use", P.MODELS_VIEW, ANY, OWN_ORG, OWN_ORG),
    ("Approve, reject, revoke models; auto-approval", P.MODELS_APPROVE, ANY, OWN_ORG, NO),
    ("Ask for a model", P.MODELS_REQUEST, NO, OWN, OWN),
]
ROWS = [*SEED_004_2_2, *SEED_003]
CELLS = [
    pytest.param(role, permission, scope, id=f"{role}: {action}")
    for action, permission, *scopes in ROWS
    for role, scope in zip((Role.SYSTEM_ADMIN, Role.ORG_ADMIN, Role.ORG_USER), scopes, strict=True)
]


@pytest.mark.parametrize(("role", "permission", "scope"), CELLS)
def test_a_cell_of_the_matrix(role: Role, permission: Permission, scope: Scope | None) -> None:
    assert scope_of(role, permission) is scope


def test_every_permission_is_a_row_of_a_document() -> None:
    assert {permission for _, permission, *_ in ROWS} == set(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_a_service_identity_can_call_inference_and_nothing_else(permission: Permission) -> None:
    assert scope_of(Role.SERVICE, permission) is (Scope.ORG if permission is Permission.INFERENCE_CALL else None)
