"""The three fixed roles and what each may do: seed 004 §2.2, cell by cell, as one table."""

from enum import StrEnum


class Role(StrEnum):
    """A role is a property of a user. System Admins belong to no org."""

    SYSTEM_ADMIN = "system_admin"
    ORG_ADMIN = "org_admin"
    ORG_USER = "org_user"
    SERVICE = "service"
    """The identity that owns the key of a publication: it can call inference and cannot sign in."""


class Scope(StrEnum):
    """How far a permission reaches."""

    ANY = "any"
    ORG = "own org"
    SELF = "own"


class Permission(StrEnum):
    """What an action needs. Named `object:verb`."""

    SYSTEM_USAGE_VIEW = "system_usage:view"
    MODELS_MANAGE = "models:manage"
    ORGS_MANAGE = "orgs:manage"
    ORG_USAGE_VIEW = "org_usage:view"
    USERS_MANAGE = "users:manage"
    BUDGETS_SET = "budgets:set"
    KEYS_CREATE = "keys:create"
    KEYS_OWN = "keys:view_revoke_own"
    KEYS_ALL = "keys:view_revoke_all"
    AUDIT_VIEW = "audit:view"
    INFERENCE_CALL = "inference:call"
    MODELS_VIEW = "models:view"
    """Which models of the catalog the org may use."""
    MODELS_APPROVE = "models:approve"
    MODELS_REQUEST = "models:request"


_P, _S = Permission, Scope
MATRIX: dict[Role, dict[Permission, Scope]] = {
    Role.SYSTEM_ADMIN: {
        _P.SYSTEM_USAGE_VIEW: _S.ANY,
        _P.MODELS_MANAGE: _S.ANY,
        _P.ORGS_MANAGE: _S.ANY,
        _P.ORG_USAGE_VIEW: _S.ANY,
        _P.USERS_MANAGE: _S.ANY,
        _P.BUDGETS_SET: _S.ANY,
        _P.KEYS_ALL: _S.ANY,
        _P.AUDIT_VIEW: _S.ANY,
        _P.MODELS_VIEW: _S.ANY,
        _P.MODELS_APPROVE: _S.ANY,
    },
    Role.ORG_ADMIN: {
        _P.ORG_USAGE_VIEW: _S.ORG,
        _P.USERS_MANAGE: _S.ORG,
        _P.BUDGETS_SET: _S.ORG,
        _P.KEYS_CREATE: _S.ORG,
        _P.KEYS_OWN: _S.SELF,
        _P.KEYS_ALL: _S.ORG,
        _P.AUDIT_VIEW: _S.ORG,
        _P.INFERENCE_CALL: _S.ORG,
        _P.MODELS_VIEW: _S.ORG,
        _P.MODELS_APPROVE: _S.ORG,
        _P.MODELS_REQUEST: _S.SELF,
    },
    Role.ORG_USER: {
        _P.ORG_USAGE_VIEW: _S.ORG,
        _P.KEYS_CREATE: _S.ORG,
        _P.KEYS_OWN: _S.SELF,
        _P.INFERENCE_CALL: _S.ORG,
        _P.MODELS_VIEW: _S.ORG,
        _P.MODELS_REQUEST: _S.SELF,
    },
    Role.SERVICE: {_P.INFERENCE_CALL: _S.ORG},
}


def scope_of(role: Role, permission: Permission) -> Scope | None:
    """How far `permission` reaches for `role`; None: not at all."""
    return MATRIX[role].get(permission)
