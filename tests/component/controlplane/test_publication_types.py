"""Models of both protocols: what they are by detection or by word, and what follows from it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fastapi import FastAPI

from controlplane.publishing.ports import Flight, NoCanary
from tests.component.controlplane.publications import problem, publish
from tests.component.controlplane.world import Person, World
from tests.support.engine import Engine, engine_running
from tests.support.gateway_memory import MemoryGateway


@pytest.fixture
async def iris(root: Person) -> AsyncIterator[Engine]:
    """A KServe v2 server with one model, registered under the same name."""
    async with engine_running() as engine:
        engine.answers = {"/v2/health/ready": (200, b""), "/v2/models": (200, b'{"models": ["iris"]}')}
        await root.ok("POST", "/backend", {"name": "kserve", "baseUrl": engine.url})
        yield engine


async def test_a_backend_is_what_answers(root: Person, iris: Engine) -> None:
    kinds = {one["name"]: (one["kind"], one["health"], one["models"]) for one in (await root.ok("GET", "/backend"))["items"]}
    assert kinds["kserve"] == ("traditional", "healthy", ["iris"])
    assert kinds["a"][:2] == ("openai", "healthy")


async def test_a_traditional_model_is_known_by_its_backend(world: World, root: Person, gateway: MemoryGateway, iris: Engine) -> None:
    made = (await publish(root, "iris")).json()
    assert (made["modelType"], made["externalPath"]) == ("traditional", "/models/iris")
    assert "kserve answered its probe in KServe's protocol" in made["modelTypeReason"]
    assert made["endpoint"].endswith("/models/iris")
    (backend,) = gateway.served.backends
    assert backend.health_path == "/v2/health/ready"
    (seen,) = await world.rows("SELECT model_type, require_api_key, external_path FROM gateway_publications_v3")
    assert tuple(seen) == ("traditional", True, "/models/iris")


async def test_what_is_said_wins_over_what_was_found(root: Person) -> None:
    made = (await publish(root, modelType="traditional")).json()
    assert made["modelType"] == "traditional"
    assert made["modelTypeReason"].startswith("config.modelType says so, though a answered")


async def test_only_a_traditional_model_goes_without_keys_and_only_where_it_is_said(
    world: World, root: Person, gateway: MemoryGateway, iris: Engine
) -> None:
    open_to_all = {"authentication": {"requireApiKey": False}}
    assert problem(await publish(root, **open_to_all)) == (422, "API_KEY_REQUIRED")
    made = (await publish(root, "iris", **open_to_all)).json()
    assert made["authentication"]["requireApiKey"] is False
    assert made["apiKey"], "there is one all the same: with it a caller has its own limits"
    refused = await root.call("PUT", "/models/iris/publish", {"config": {"modelType": "openai"}})
    assert problem(refused) == (422, "API_KEY_REQUIRED")
    changed = await root.ok("PUT", "/models/iris/publish", {"config": {"authentication": {"requireApiKey": True}}})
    assert changed["authentication"]["requireApiKey"] is True
    assert [route.requires_key for route in gateway.served.routes] == [True], "the gateway is told at once, not by the next look at its state"
    kept = await root.ok("PUT", "/models/iris/publish", {"config": {"authentication": {"allowedTenants": ["alpha", "beta"]}}})
    assert kept["authentication"] == {"requireApiKey": True, "allowedTenants": ["alpha", "beta"]}


async def test_a_model_does_not_move_to_an_engine_of_another_protocol_by_chance(root: Person, iris: Engine) -> None:
    iris.answers["/v2/models"] = (200, b'{"models": ["iris", "chat"]}')
    await root.ok("POST", "/backend/kserve/check")
    await publish(root, backend="a")
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": {"backend": "kserve"}})) == (422, "INVALID_BACKENDS")
    mixed = {"backends": [{"name": "a"}, {"name": "kserve"}]}
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": mixed})) == (422, "INVALID_BACKENDS")
    moved = await root.ok("PUT", "/models/chat/publish", {"config": {"backend": "kserve", "modelType": "traditional"}})
    assert (moved["modelType"], moved["backend"]) == ("traditional", "kserve")


async def test_a_gateway_that_only_watches_takes_a_traditional_model_as_it_is(root: Person, app: FastAPI, iris: Engine) -> None:
    """It has no tokens to hold, and its engine's name is in the path."""
    runtime = app.state.runtime
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, metering="shadow"))
    made = (await publish(root, "flowers", upstreamModel="iris", rateLimiting={"admissionMode": "strict"})).json()
    assert (made["modelType"], made["rateLimiting"]["admissionMode"]) == ("traditional", "strict")
    await root.ok("PUT", "/models/flowers/publish", {"config": {"rateLimiting": {"admissionMode": "balanced"}}})


async def test_the_canary_asks_for_what_the_catalog_knows_of_the_model(root: Person, app: FastAPI) -> None:
    flights: list[Flight] = []

    class Noting(NoCanary):
        async def fly(self, flight: Flight) -> str | None:
            flights.append(flight)
            return None

    runtime = app.state.runtime
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, canary=Noting()))
    async with engine_running() as engine:
        engine.answers["/v1/models"] = (200, b'{"data": [{"id": "e5-large", "capabilities": ["embedding"]}]}')
        await root.ok("POST", "/backend", {"name": "vectors", "baseUrl": engine.url})
        assert (await publish(root, "e5-large")).status_code == 201
        assert (await publish(root, "chat")).status_code == 201
    assert [flight.kind for flight in flights] == ["embeddings", "chat"]
