"""A small populated service for component tests, and one client for each person in it."""

from typing import Any
from uuid import UUID

import httpx2
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.accounts.passwords import Passwords
from controlplane.accounts.repository import AccountRepository
from controlplane.ids import new_id
from controlplane.orgs.repository import OrgRepository
from controlplane.repository import EVERYTHING
from controlplane.runtime import Runtime
from controlplane.sign_in.rules import Client
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.roles import Role

PASSWORD = "correct horse battery"


def cheap_passwords() -> Passwords:
    """Real hashes that cost nothing."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Person:
    """Calls the API as one user."""

    def __init__(self, http: httpx2.AsyncClient, user_id: UUID, org_id: UUID | None, token: str) -> None:
        self._http, self.user_id, self.org_id = http, user_id, org_id
        self.headers = {"authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, body: object = None, **options: Any) -> httpx2.Response:
        if body is not None:
            options["json"] = body
        headers = {**self.headers, **options.pop("headers", {})}
        return await self._http.request(method, f"/api{path}", headers=headers, **options)

    async def ok(self, method: str, path: str, body: object = None) -> Any:
        response = await self.call(method, path, body)
        assert response.is_success, response.text
        return response.json() if response.content else None


class World:
    """What the fixture `world` gives."""

    def __init__(self, http: httpx2.AsyncClient, engine: AsyncEngine, app: FastAPI) -> None:
        self.http, self.engine, self._app = http, engine, app
        self.people: dict[str, Person] = {}
        self.orgs: dict[str, UUID] = {}

    @property
    def runtime(self) -> Runtime:
        """As it is now: a test may have put another gateway in."""
        runtime: Runtime = self._app.state.runtime
        return runtime

    async def populate(self) -> None:
        password_hash = await self.runtime.passwords.hash(PASSWORD)
        async with unit_of_work(self.engine) as uow:
            accounts, orgs = AccountRepository(uow, EVERYTHING), OrgRepository(uow, EVERYTHING)
            root = await accounts.add(new_id(), None, "root", Role.SYSTEM_ADMIN, password_hash)
            await self._know(uow, "root", root)
            for slug in ("alpha", "beta"):
                org = await orgs.add(new_id(), slug, slug.title())
                self.orgs[slug] = org.id
                for suffix, role in (("admin", Role.ORG_ADMIN), ("user", Role.ORG_USER)):
                    user = await accounts.add(new_id(), org.id, f"{slug}-{suffix}", role, password_hash)
                    await self._know(uow, f"{slug}-{suffix}", user)

    async def add(self, name: str, org: str) -> None:
        """Make one more user of an org."""
        async with unit_of_work(self.engine) as uow:
            await self._know(uow, name, await AccountRepository(uow, EVERYTHING).add(new_id(), self.orgs[org], name, Role.ORG_USER, None))

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    async def rows(self, query: str, **values: object) -> list[Any]:
        async with self.engine.begin() as connection:
            return list((await connection.execute(text(query), values)).all())

    async def changes(self) -> list[tuple[str, str]]:
        return [(row.kind, row.id) for row in await self.rows("SELECT kind, id FROM gateway_changes_v1 ORDER BY seq")]

    async def audit(self) -> list[Any]:
        return await self.rows("SELECT * FROM audit_log ORDER BY id")

    async def _know(self, uow: UnitOfWork, name: str, user: Any) -> None:
        began = await self.runtime.sessions.begin(uow, user, "token", Client("192.0.2.7"))
        assert began.view.token is not None
        self.people[name] = Person(self.http, user.id, user.org_id, began.view.token)
