from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import database
from controlplane.app import application
from controlplane.mail.mailer_folder import FolderMailer
from controlplane.publishing.reconciler import Reconciler
from controlplane.settings import ApiSettings
from tests.component.controlplane.mailbox import Mailbox
from tests.component.controlplane.world import Person, World, cheap_passwords
from tests.support.documented import refuse_undocumented
from tests.support.engine import Engine, engine_running
from tests.support.gateway_memory import MemoryGateway
from tests.support.postgres import as_role


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = database.create_engine(database_url, pool_size=5)
    yield engine
    await engine.dispose()


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The API as it runs, as the role that it runs as, but with a password hash that costs nothing."""
    settings = ApiSettings(
        database_url=as_role(database_url),
        peppers={1: "11" * 32, 2: "22" * 32},
        token_secret="s" * 32,
        keys_per_user=3,
        egress_allowed_networks="127.0.0.0/8",
    )
    async with application(settings, cheap_passwords()) as app:
        yield app


@pytest.fixture
async def world(app: FastAPI, engine: AsyncEngine) -> AsyncIterator[World]:
    """A System Admin, the orgs alpha and beta, and in each an org admin `alpha-admin` and a user `alpha-user`."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.7", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api", event_hooks={"response": [refuse_undocumented]}) as http:
        world = World(http, engine, app)
        await world.populate()
        yield world


@pytest.fixture
async def engine_a() -> AsyncIterator[Engine]:
    async with engine_running("chat", "shared") as engine:
        yield engine


@pytest.fixture
async def engine_b() -> AsyncIterator[Engine]:
    async with engine_running("embed", "shared") as engine:
        yield engine


@pytest.fixture
def gateway(app: FastAPI) -> MemoryGateway:
    gateway = MemoryGateway()
    runtime = app.state.runtime
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, reconciler=Reconciler(runtime.engine, gateway)))
    return gateway


@pytest.fixture
async def root(world: World, gateway: MemoryGateway, engine_a: Engine, engine_b: Engine) -> Person:
    """A System Admin who has registered two engines: `a` with chat and shared, `b` with embed and shared."""
    root = world["root"]
    await root.ok("POST", "/backend", {"name": "a", "baseUrl": engine_a.url})
    await root.ok("POST", "/backend", {"name": "b", "baseUrl": engine_b.url})
    return root


@pytest.fixture
async def mailbox(app: FastAPI, world: World, tmp_path: Path) -> Mailbox:
    app.state.runtime = replace(app.state.runtime, mailer=FolderMailer(tmp_path / "mail", "IAS <ias@example.com>"))
    return Mailbox(tmp_path / "mail")
