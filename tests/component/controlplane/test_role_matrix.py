"""Every route, every role, and own, a colleague's, another org's: what `ias.roles` says is what the API does, and the audit log has it.

Generated: a new route is tested because it is there. It needs a rule (`controlplane.routes`), bodies whose fields have examples
(`controlplane.examples`), and objects for its path (`tests/component/controlplane/tenants.py`); what is missing, a failure says.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import database
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.api import OPERATIONS
from controlplane.app import application
from controlplane.authorization import Requires
from controlplane.examples import example_of
from controlplane.ids import new_id
from controlplane.publishing.reconciler import Reconciler
from controlplane.repository import EVERYTHING
from controlplane.routes import Operation
from controlplane.schema import users
from controlplane.settings import ApiSettings
from controlplane.sign_in.rules import Client
from controlplane.unit_of_work import unit_of_work
from ias.roles import Role, Scope, scope_of
from tests.component.controlplane.tenants import OF_A_USER, OF_AN_ORG, PASSWORD_HASH, VALUES, Owner, Tenant, make_models, make_tenant
from tests.support.documented import document, refuse_undocumented
from tests.support.gateway_memory import MemoryGateway
from tests.support.postgres import TEMPLATE, PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROTECTED = [operation for operation in OPERATIONS if not operation.is_public]
ROLES = (Role.SYSTEM_ADMIN, Role.ORG_ADMIN, Role.ORG_USER)
RELATIONS = ("own", "colleague's", "another org's", "another org's in the path of the own org")
ALWAYS_REFUSES = "model.refuse_name"
"""The route that says what is wrong with a name."""
_SCOPES = (Scope.ANY, Scope.ORG, Scope.SELF, None)


@dataclass
class Ground:
    """The API, and tenants that are fresh after each write that changed something."""

    app: FastAPI
    engine: AsyncEngine
    http: httpx2.AsyncClient
    root: UUID
    document: dict[str, Any]
    own: Tenant
    other: Tenant
    spoiled: bool = False

    async def freshen(self) -> None:
        if self.spoiled:
            self.own, self.other = await make_tenant(self.engine), await make_tenant(self.engine)
            await make_models(self.engine, self.own)
            self.spoiled = False

    async def call(self, operation: Operation, role: Role | None, path: str, request_id: str) -> httpx2.Response:
        headers = {"x-request-id": request_id}
        if role is not None:
            user_id = self.root if role is Role.SYSTEM_ADMIN else self.own.people[role].user_id
            headers["authorization"] = f"Bearer {await self.token_of(user_id)}"
        return await self.http.request(operation.method, f"/api{path}", headers=headers, json=self.body(operation))

    async def token_of(self, user_id: UUID) -> str:
        async with unit_of_work(self.engine) as uow:
            user = await AccountRepository(uow, EVERYTHING).get(user_id)
            began = await self.app.state.runtime.sessions.begin(uow, user, "token", Client("192.0.2.7"))
        return str(began.view.token)

    def body(self, operation: Operation) -> Any:
        """The example of the request, about things that are there."""
        if operation.route.body_field is None:
            return None
        described = self.document["paths"][f"/api{operation.route.path_format}"][operation.method.lower()]["requestBody"]["content"][
            "application/json"
        ]
        return self._real(example_of(described["schema"], self.document["components"]["schemas"], request=True))

    def _real(self, example: Any) -> Any:
        if isinstance(example, dict):
            known = {
                "tenantId": self.own.slug,
                "model": self.own.refused_model,
                "backend": "gpu-pool",
                "username": f"new-{uuid4().hex}",
                "slug": f"new-{uuid4().hex}",
            }
            return {name: known.get(name, self._real(value)) for name, value in example.items()}
        return [self._real(value) for value in example] if isinstance(example, list) else example

    def path(self, operation: Operation, role: Role, relation: str) -> str:
        own = self.own.people["colleague" if relation == "colleague's" or role is Role.SYSTEM_ADMIN else role]
        theirs = self.other.people[Role.ORG_USER]

        def value(match: re.Match[str]) -> str:
            name = match[1]
            tenant, owner = (self.other, theirs) if relation.startswith("another") else (self.own, own)
            if name == "org" and relation == RELATIONS[3]:
                tenant = self.own
            if name == "name" and operation.name == "model.publish":
                return "llama-3-8b"
            return _value_of(name, tenant, owner)

        return re.sub(r"{([^}]+)}", value, operation.path)

    async def audit_of(self, request_id: str) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text("SELECT * FROM audit_log WHERE request_id = :id"), {"id": request_id})).all())


def _value_of(name: str, tenant: Tenant, owner: Owner) -> str:
    assert name in VALUES, f"tests/component/controlplane/tenants.py must know what stands for {{{name}}}"
    return str(VALUES[name](tenant, owner))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(postgres_server: PostgresServer) -> AsyncIterator[Ground]:
    url = postgres_server.create(TEMPLATE)
    engine = database.create_engine(url, pool_size=2)
    settings = ApiSettings(database_url=url, peppers={1: "11" * 32}, token_secret="s" * 32, egress_allowed_networks="127.0.0.0/8")
    async with application(settings, Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))) as app:
        runtime = app.state.runtime
        app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, reconciler=Reconciler(runtime.engine, MemoryGateway())))
        root = new_id()
        async with engine.begin() as connection:
            await connection.execute(insert(users).values(id=root, username="root", role=Role.SYSTEM_ADMIN, password_hash=PASSWORD_HASH))
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api", event_hooks={"response": [refuse_undocumented]}) as http:
            yield Ground(app, engine, http, root, document(), Tenant(), Tenant(), spoiled=True)
    await engine.dispose()
    postgres_server.drop(url)


def relations(operation: Operation, role: Role) -> list[str]:
    """The relations that make a difference for a path."""
    named = set(re.findall(r"{([^}]+)}", operation.path))
    found = ["own"]
    if named & OF_A_USER and role is not Role.SYSTEM_ADMIN:  # who has nothing of the own: all is a colleague's
        found.append("colleague's")
    if named & OF_AN_ORG:
        found.append("another org's")
    if "org" in named and named & OF_A_USER:
        found.append(RELATIONS[3])
    return found


def verdict(operation: Operation, role: Role, relation: str) -> str:
    """What the table of `ias.roles` says of a cell."""
    if not isinstance(operation.rule, Requires):
        return "pass"  # everybody who is signed in
    scopes = [scope_of(role, permission) for permission in operation.rule.permissions]
    furthest = min(scopes, key=_SCOPES.index)
    if furthest is None:
        return "forbidden"
    if relation == RELATIONS[3]:
        return "not found"
    if relation == "another org's":
        return "pass" if furthest is Scope.ANY else "not found"
    return "not found" if relation == "colleague's" and furthest is Scope.SELF else "pass"


def seen(response: httpx2.Response, operation: Operation) -> str:
    """What the API did, in the same words. A later 404, of something below the object of the path, is no refusal."""
    if response.status_code == 403:
        return "forbidden"
    named = {name.removesuffix("_id") for name in re.findall(r"{([^}]+)}", operation.path) if name in OF_AN_ORG}
    if response.status_code == 404 and response.json()["code"] in {f"{name}_not_found" for name in named}:
        return "not found"
    assert response.status_code < 500, response.text
    assert response.status_code not in {400, 401, 422}, f"the request made of the examples is refused: {response.text}"
    return "pass"


@pytest.mark.parametrize("operation", PROTECTED, ids=str)
async def test_every_cell(ground: Ground, operation: Operation) -> None:
    succeeded = False
    for role in ROLES:
        for relation in relations(operation, role):
            await ground.freshen()
            path, request_id = ground.path(operation, role, relation), str(uuid4())
            response = await ground.call(operation, role, path, request_id)
            cell = f"{role} on {relation}: {operation.method} {path} -> {response.status_code} {response.text}"
            expected = verdict(operation, role, relation)
            if operation.name == ALWAYS_REFUSES and expected == "pass":
                assert response.status_code == 422, cell
                continue
            assert seen(response, operation) == expected, cell
            succeeded |= response.is_success
            ground.spoiled |= response.is_success and operation.writes
            await check_audit(ground, operation, role, request_id, response)
    assert succeeded or operation.name == ALWAYS_REFUSES, f"{operation}: nobody had success, so these cells show little"


async def check_audit(ground: Ground, operation: Operation, role: Role, request_id: str, response: httpx2.Response) -> None:
    rows = await ground.audit_of(request_id)
    if not operation.writes:
        assert rows == []
        return
    outcome = "ok" if response.is_success else "denied" if response.status_code in {401, 403} else "failed"
    assert [(row.action_type, row.outcome) for row in rows] == [(operation.name, outcome)], operation
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", operation.name), f"{operation} needs a name like 'key.create'"
    actor = ground.root if role is Role.SYSTEM_ADMIN else ground.own.people[role].user_id
    if not ground.spoiled:  # a write may have removed its actor
        assert rows[0].user_id_performing_action == actor


@pytest.mark.parametrize("operation", PROTECTED, ids=str)
async def test_nobody_gets_in_without_a_session(ground: Ground, operation: Operation) -> None:
    await ground.freshen()
    request_id = str(uuid4())
    response = await ground.call(operation, None, ground.path(operation, Role.ORG_USER, "own"), request_id)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert await ground.audit_of(request_id) == []


async def test_names_of_actions_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS if operation.name != ALWAYS_REFUSES]
    assert len(names) == len(set(names))
