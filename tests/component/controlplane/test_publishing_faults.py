"""A fault at every point of publishing, changing and unpublishing: afterwards all is as before, or all is done, and never a half.

Points are every statement, every commit, every word to the gateway and every flight of the canary, before and after it happened:
as many as the operation has. After the fault one round of the background loop runs, as it does at the next start.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from controlplane.authentication import Principal
from controlplane.authorization import Access
from controlplane.gateway.ports import GatewayRejected
from controlplane.publishing import service
from controlplane.publishing.ports import CanaryFailed, Flight
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.schemas import ConfigChange, PublishConfig
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork, unit_of_work
from ias.roles import Role
from tests.component.controlplane.publications import reconciled
from tests.component.controlplane.world import Person, World
from tests.support.gateway_memory import MemoryGateway

BEFORE = PublishConfig.model_validate({"tenantId": "alpha", "backends": [{"name": "a"}, {"name": "b", "priority": 1}]})
CHANGE = ConfigChange.model_validate(
    {
        "backends": [{"name": "b", "weight": 7}],
        "externalPath": "/team/shared",
        "rateLimiting": {"requestsPerMinute": 5},
        "authentication": {"allowedTenants": ["alpha", "beta"]},
    }
)


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Faults:
    """Counts points; at the one that is armed it does what it is told."""

    error: Callable[[], BaseException] = Died
    after: bool = False
    """Strike when it has happened. After a statement that is the same as before the next."""
    lasting: bool = False
    """From then on everything fails, until it is repaired."""
    at: int = 0
    seen: int = 0
    struck: bool = False
    points: list[str] = field(default_factory=list)

    def arm(self, at: int) -> None:
        self.at, self.seen, self.struck = at, 0, False
        self.points.clear()

    async def around(self, name: str, does: Awaitable[Any]) -> Any:
        if self.after and name == "execute":
            return await does
        self.seen += 1
        self.points.append(name)
        hit = self.seen == self.at or (self.lasting and self.struck)
        if not hit:
            return await does
        self.struck = True
        if self.after:
            await does
        else:
            close = getattr(does, "close", None)
            if close is not None:
                close()
        raise self.error()


class WatchedCanary:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def fly(self, flight: Flight) -> str | None:
        async def flown() -> None:
            return None

        await self._faults.around("canary", flown())
        return None


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def watched(world: World, gateway: MemoryGateway, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """The publisher whose every step can be made to fail."""
    execute, checkpoint, apply = UnitOfWork.execute, UnitOfWork.checkpoint, gateway.apply
    monkeypatch.setattr(UnitOfWork, "execute", lambda uow, statement: faults.around("execute", execute(uow, statement)))
    monkeypatch.setattr(UnitOfWork, "checkpoint", lambda uow: faults.around("commit", checkpoint(uow)))
    monkeypatch.setattr(gateway, "apply", lambda state, models: faults.around("gateway", apply(state, models)))
    return replace(world.runtime.publisher, canary=WatchedCanary(faults))


@asynccontextmanager
async def admin(world: World) -> AsyncIterator[Access]:
    (row,) = await world.rows("SELECT id FROM users WHERE role = 'system_admin' ORDER BY id LIMIT 1")
    async with unit_of_work(world.runtime.engine) as uow:
        yield Access(uow, Principal(row.id, None, Role.SYSTEM_ADMIN, "root", uuid4()), EVERYTHING)


async def publish(world: World, publisher: Publisher) -> None:
    async with admin(world) as access:
        await service.publish(publisher, access, "shared", BEFORE)


async def change(world: World, publisher: Publisher) -> None:
    async with admin(world) as access:
        await service.change(publisher, access, "shared", CHANGE, None)


async def unpublish(world: World, publisher: Publisher) -> None:
    async with admin(world) as access:
        await service.unpublish(publisher, access, "shared")


async def picture(world: World, gateway: MemoryGateway) -> Any:
    """Everything that is there of publications, as far as anybody can see it."""
    living = await world.rows(
        "SELECT model, status, status_step, external_path, requests_per_minute FROM publications WHERE status <> 'deleted' ORDER BY model"
    )
    seen = await world.rows("SELECT model, limits, external_path, cardinality(allowed_org_ids) AS orgs FROM gateway_publications_v3")
    keys = await world.rows(
        "SELECT o.slug FROM gateway_credentials_v3 c JOIN keys k ON k.id::text = c.key_id JOIN orgs o ON o.id = k.org_id "
        "WHERE k.publication_id IS NOT NULL"
    )
    targets = await world.rows("SELECT b.name, t.weight, t.priority FROM publication_targets t JOIN backends b ON b.id = t.backend_id ORDER BY 1")
    tenants = await world.rows("SELECT o.slug FROM publication_tenants t JOIN orgs o ON o.id = t.org_id ORDER BY 1")
    routes = [(route.model, [(target.weight, target.priority) for target in route.targets]) for route in gateway.served.routes]
    return [[tuple(row) for row in rows] for rows in (living, seen, keys, targets, tenants)] + [routes, len(gateway.served.backends)]


def lost_database() -> OperationalError:
    return OperationalError("SELECT 1", {}, ConnectionError("the database is gone"))


FAULTS = {
    "an error": Faults(lambda: RuntimeError("no")),
    "done, and the answer lost": Faults(lambda: RuntimeError("no"), after=True),
    "the process dies": Faults(Died),
    "the process dies after it": Faults(Died, after=True),
    "the database is lost": Faults(lost_database, lasting=True),
}


async def at_every_point(
    world: World,
    gateway: MemoryGateway,
    faults: Faults,
    operation: Callable[[], Awaitable[None]],
    back: Callable[[Any], Awaitable[None]],
    outcomes: list[Any],
) -> int:
    """Strike at each point in turn until the operation has no more; return how many there were."""
    at = 0
    while True:
        at += 1
        faults.arm(at)
        try:
            await operation()
        except (Exception, Died):
            assert faults.struck
        struck, point = faults.struck, faults.points[min(at, len(faults.points)) - 1]
        faults.arm(0)
        await reconciled(world)
        after = await picture(world, gateway)
        assert after in outcomes, f"point {at} ({point}): {after}"
        if not struck:
            assert after == outcomes[-1]
            return at - 1
        await back(after)


@pytest.mark.parametrize("kind", FAULTS)
async def test_publishing(world: World, root: Person, gateway: MemoryGateway, faults: Faults, watched: Publisher, kind: str) -> None:
    nothing = await picture(world, gateway)
    await publish(world, watched)
    published = await picture(world, gateway)
    assert published != nothing
    await unpublish(world, watched)
    await reconciled(world)
    assert await picture(world, gateway) == nothing
    use(faults, kind)

    async def back(after: Any) -> None:
        if after != nothing:
            await unpublish(world, watched)
            await reconciled(world)

    points = await at_every_point(world, gateway, faults, lambda: publish(world, watched), back, [nothing, published])
    assert points >= 8


@pytest.mark.parametrize("kind", FAULTS)
async def test_changing(world: World, root: Person, gateway: MemoryGateway, faults: Faults, watched: Publisher, kind: str) -> None:
    await publish(world, watched)
    before = await picture(world, gateway)
    await change(world, watched)
    changed = await picture(world, gateway)

    async def back(after: Any) -> None:
        if after != before:
            await unpublish(world, watched)
            await publish(world, watched)
            await reconciled(world)

    await back(changed)
    use(faults, kind)
    points = await at_every_point(world, gateway, faults, lambda: change(world, watched), back, [before, changed])
    assert points >= 4


@pytest.mark.parametrize("kind", FAULTS)
async def test_unpublishing(world: World, root: Person, gateway: MemoryGateway, faults: Faults, watched: Publisher, kind: str) -> None:
    nothing = await picture(world, gateway)
    await publish(world, watched)
    published = await picture(world, gateway)
    use(faults, kind)

    async def back(after: Any) -> None:
        if after != published:
            await publish(world, watched)

    points = await at_every_point(world, gateway, faults, lambda: unpublish(world, watched), back, [published, nothing])
    assert points >= 2


def use(faults: Faults, kind: str) -> None:
    faults.error, faults.after, faults.lasting = FAULTS[kind].error, FAULTS[kind].after, FAULTS[kind].lasting


@pytest.mark.parametrize(
    ("refusal", "code", "step"),
    [(CanaryFailed("chat with the key: 500"), "CANARY_FAILED", "canary"), (GatewayRejected("no such cluster"), "GATEWAY_REJECTED", "routes")],
)
async def test_why_it_failed_is_told_where_one_looks_for_it(
    world: World, app: FastAPI, root: Person, gateway: MemoryGateway, refusal: Exception, code: str, step: str
) -> None:
    class Refusing:
        async def fly(self, flight: Flight) -> str | None:
            raise refusal

    runtime = world.runtime
    gateway.fails_with = refusal if step == "routes" else None
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, canary=Refusing()))
    response = await root.call("POST", "/models/chat/publish", {"config": {"tenantId": "alpha"}})
    assert (response.status_code, response.json()["code"]) == (502, code)
    assert str(refusal) in response.json()["detail"]
    gone = await root.call("GET", "/models/chat/publish")
    assert f"failed at the step '{step}'" in gone.json()["detail"]
    assert str(refusal) in gone.json()["detail"]
