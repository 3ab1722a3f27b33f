"""Who asks, for schemathesis: each operation is called by somebody who may, and a sign-out ends nobody's session but its own.

`SCHEMATHESIS_HOOKS` names this file; the address of the API and the token of a System Admin come by `IAS_TEST_API` and `IAS_TEST_TOKEN`.
"""

import itertools
import os
import re
import uuid
from fnmatch import fnmatchcase
from typing import Any

import httpx2
import schemathesis
from schemathesis.openapi.checks import UseAfterFree
from schemathesis.specs.openapi.checks import use_after_free

from controlplane.api import OPERATIONS
from controlplane.authorization import Requires
from ias.roles import Role, scope_of

ENDS_SESSIONS = {"session.delete", "password.change"}
ALWAYS_THERE = {"*_limits.get": "everything has limits: those that were lifted are read as null, which is what a change of them begins with"}
"""What a DELETE sets back and does not remove: a GET after it is right to find it."""
DELETED_ORG = re.compile(r"DELETE /api/org/[^/]+")
"""An org is there, to be read and restored, until its `purgeAt`; `test_org_life.py` has purged ones."""
_numbers = itertools.count()


def role_for(operation_id: str) -> Role:
    """The role that an operation is called in: System Admin wherever that may do it."""
    rule = next((operation.rule for operation in OPERATIONS if operation.name == operation_id), None)
    allowed = [role for role in Role if not isinstance(rule, Requires) or any(scope_of(role, one) for one in rule.permissions)]
    return allowed[0]


class Person:
    """Somebody with a session. When it has ended, or the org was deleted, somebody else of the same role takes over."""

    def __init__(self, http: httpx2.Client, role: Role) -> None:
        self._http, self._role, self._token = http, role, ""

    def token(self) -> str:
        if not self._token or self._http.get("/me", headers={"authorization": f"Bearer {self._token}"}).status_code != 200:
            self._token = self._sign_up()
        return self._token

    def _sign_up(self) -> str:
        number = next(_numbers)
        org = self._made("/org", slug=f"ground-{number}", name="Ground")
        user = self._made(f"/org/{org['id']}/user", username=f"somebody-{number}", role=self._role)
        body = {"username": user["username"], "password": user["initialPassword"]}
        # Guesses of others, from the address of schemathesis, slow down who signs in from there.
        signed_in = self._http.post("/login", json=body, headers={"x-forwarded-for": f"192.0.2.{number % 250 + 1}"})
        return str(signed_in.raise_for_status().json()["token"])

    def _made(self, path: str, **body: object) -> Any:
        return self._http.post(path, json=body, headers={"authorization": f"Bearer {os.environ['IAS_TEST_TOKEN']}"}).raise_for_status().json()


_http = httpx2.Client(base_url=os.environ["IAS_TEST_API"] + "/api", timeout=30)
_people = {role: Person(_http, role) for role in (Role.ORG_ADMIN, Role.ORG_USER)}
_leaver = Person(_http, Role.ORG_USER)


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """The token of each call."""

    def get(self, case: Any, _: Any) -> str:
        name = case.operation.definition.raw["operationId"]
        if name in ENDS_SESSIONS:
            return _leaver.token()
        role = role_for(name)
        return os.environ["IAS_TEST_TOKEN"] if role is Role.SYSTEM_ADMIN else _people[role].token()

    def set(self, case: Any, data: str, _: Any) -> None:
        case.headers = {**{name: _fresh(name, value) for name, value in (case.headers or {}).items()}, "Authorization": f"Bearer {data}"}


def _fresh(name: str, value: Any) -> Any:
    """A good Idempotency-Key is used for one call: for another one it would be refused, rightly."""
    good = name.lower() == "idempotency-key" and isinstance(value, str) and re.fullmatch("[!-~]{1,255}", value)
    return uuid.uuid4().hex if good else value


@schemathesis.check
def use_after_deletion(ctx: Any, response: Any, case: Any) -> bool | None:
    """The library's check `use_after_free`, but for what a DELETE of ours does not remove (`ALWAYS_THERE`, `DELETED_ORG`)."""
    if any(fnmatchcase(case.operation.definition.raw["operationId"], pattern) for pattern in ALWAYS_THERE):
        return None
    try:
        found: bool | None = use_after_free(ctx, response, case)
    except UseAfterFree as failure:
        if DELETED_ORG.fullmatch(failure.free) is None:
            raise
        return None
    return found
