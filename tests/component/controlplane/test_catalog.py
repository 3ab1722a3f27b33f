"""The catalog follows what backends tell, and people correct it."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from controlplane.backends.probing import BackendProber
from controlplane.catalog.engine_list import Told
from controlplane.catalog.rules import MISSES
from controlplane.catalog.service import discover
from controlplane.unit_of_work import unit_of_work
from tests.component.controlplane.world import World
from tests.support.engine import Engine, engine_running


@pytest.fixture
async def sim(world: World) -> AsyncIterator[Engine]:
    async with engine_running("chat", "embed") as engine:
        await world["root"].ok("POST", "/backend", {"name": "gpu", "baseUrl": engine.url})
        yield engine


async def catalog(world: World, query: str = "") -> dict[str, Any]:
    return {one["model"]: one for one in (await world["root"].ok("GET", f"/catalog{query}"))["items"]}


async def discovered(world: World) -> dict[str, Any]:
    view: dict[str, Any] = await world["root"].ok("POST", "/backend/gpu/discover")
    return view


async def test_a_registered_backend_is_in_the_catalog(world: World, sim: Engine) -> None:
    known = await catalog(world)
    assert set(known) == {"gpu::chat", "gpu::embed"}
    assert (known["gpu::chat"]["status"], known["gpu::chat"]["edited"]) == ("active", [])
    assert set(await catalog(world, "?name=emb")) == {"gpu::embed"}
    assert await catalog(world, "?status=deprecated") == {}
    assert await catalog(world, "?backend=other") == {}


async def test_new_and_missing_models_are_counted_and_told(world: World, sim: Engine) -> None:
    sim.serves("chat", "vision")
    view = await discovered(world)
    assert view == {"health": "healthy", "healthReason": None, "models": 2, "new": 1, "updated": 0, "returned": 0, "missing": 1, "deprecated": 0}
    assert [kind for kind, _ in await world.changes() if kind == "catalog"] == ["catalog", "catalog"]


async def test_a_model_that_stays_away_is_deprecated_and_comes_back(world: World, sim: Engine) -> None:
    sim.serves("chat")
    counts = [await discovered(world) for _ in range(MISSES)]
    assert [view["deprecated"] for view in counts] == [0] * (MISSES - 1) + [1]
    gone = (await catalog(world, "?status=deprecated"))["gpu::embed"]
    sim.serves("chat", "embed")
    assert (await discovered(world))["returned"] == 1
    history = await world["root"].ok("GET", f"/catalog/{gone['id']}/change")
    assert [row["kind"] for row in history["items"]] == ["returned", "deprecated"]


async def test_a_backend_that_does_not_answer_or_is_not_well_counts_no_miss(world: World, sim: Engine) -> None:
    sim.serves("chat")
    for path, answer in (("/v1/models", (500, b"")), ("/health", (503, b""))):
        sim.answers = {path: answer}
        view = await discovered(world)
        assert (view["health"], view["missing"]) == ("unhealthy", 0)
    assert {one["missed"] for one in (await catalog(world)).values()} == {0}


async def test_the_background_probe_discovers_and_misses_are_counted_each_time(world: World, sim: Engine) -> None:
    prober = BackendProber(world.engine, world.runtime.probing, lambda: None)
    await prober.probe_all()
    sim.serves("chat", "new")
    for _ in range(MISSES):
        await prober.probe_all()
    known = await catalog(world)
    assert {model: one["status"] for model, one in known.items()} == {"gpu::chat": "active", "gpu::embed": "deprecated", "gpu::new": "active"}


async def test_what_a_person_says_is_not_overwritten_and_can_be_taken_back(world: World, sim: Engine) -> None:
    root, model = world["root"], (await catalog(world))["gpu::chat"]
    sim.answers["/v1/models"] = (200, b'{"data": [{"id": "chat", "max_model_len": 8192, "capabilities": ["completion"]}]}')
    await discovered(world)
    edited = await root.ok("PUT", f"/catalog/{model['id']}", {"contextTokens": 4096, "capabilities": ["Tools", "chat"], "aliases": ["best"]})
    assert (edited["contextTokens"], edited["capabilities"], edited["aliases"]) == (4096, ["chat", "tools"], ["best"])
    assert edited["edited"] == ["capabilities", "contextTokens"]
    sim.answers["/v1/models"] = (200, b'{"data": [{"id": "chat", "max_model_len": 16384}]}')
    assert (await discovered(world))["updated"] == 1
    after = await root.ok("GET", f"/catalog/{model['id']}")
    assert (after["contextTokens"], after["metadata"]) == (4096, {"max_model_len": 16384})
    assert (await root.ok("PUT", f"/catalog/{model['id']}", {"contextTokens": None}))["contextTokens"] == 16384
    kinds = [row["kind"] for row in (await root.ok("GET", f"/catalog/{model['id']}/change"))["items"]]
    assert kinds == ["edited", "updated", "edited", "updated"]


async def test_an_alias_names_one_model(world: World, sim: Engine) -> None:
    known = await catalog(world)
    await world["root"].ok("PUT", f"/catalog/{known['gpu::chat']['id']}", {"aliases": ["best"]})
    taken = await world["root"].call("PUT", f"/catalog/{known['gpu::embed']['id']}", {"aliases": ["best"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "alias_taken")


async def test_an_edit_of_another_version_is_refused(world: World, sim: Engine) -> None:
    path = f"/catalog/{(await catalog(world))['gpu::chat']['id']}"
    assert (await world["root"].call("PUT", path, {"outputTokens": 1}, headers={"if-match": '"1"'})).status_code == 200
    assert (await world["root"].call("PUT", path, {"outputTokens": 2}, headers={"if-match": '"1"'})).status_code == 412


async def test_prices_have_versions_and_one_in_force_stays(world: World, sim: Engine) -> None:
    root, path = world["root"], f"/catalog/{(await catalog(world))['gpu::chat']['id']}/price"
    past, future = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    price = {"currency": "EUR", "input": "0.5", "output": "1.25"}
    await root.ok("POST", path, {**price, "validFrom": past.isoformat()})
    await root.ok("POST", path, {**price, "validFrom": future.isoformat(), "output": "2"})
    await root.ok("POST", path, {**price, "validFrom": future.isoformat(), "output": "3", "cachedInput": "0.1"})
    again = await root.call("POST", path, {**price, "validFrom": past.isoformat()})
    assert (again.status_code, again.json()["code"]) == (409, "price_in_force")
    listed = (await root.ok("GET", path))["items"]
    assert [(one["output"], one["cachedInput"]) for one in listed] == [("3.000000", "0.100000"), ("1.250000", None)]


async def test_the_gateway_learns_the_context_from_the_catalog_unless_the_publication_says_it(world: World, sim: Engine) -> None:
    sim.answers["/v1/models"] = (200, b'{"data": [{"id": "chat", "max_model_len": 8192}]}')
    await discovered(world)
    await published(world, "chat")
    assert [row.context_tokens for row in await world.rows("SELECT context_tokens FROM gateway_publications_v3")] == [8192]
    await world.rows("UPDATE publications SET context_tokens = 100 RETURNING id")
    assert [row.context_tokens for row in await world.rows("SELECT context_tokens FROM gateway_publications_v3")] == [100]


async def published(world: World, upstream_model: str) -> UUID:
    """Publish a model of the backend for org alpha."""
    (row,) = await world.rows(
        "INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status) "
        "SELECT gen_random_uuid(), 'm', o.id, 'openai', :model, b.id, 'published' FROM orgs o, backends b WHERE o.slug = 'alpha' "
        "RETURNING id, org_id",
        model=upstream_model,
    )
    await world.rows("INSERT INTO publication_tenants VALUES (:id, :org) RETURNING org_id", id=row.id, org=row.org_id)
    publication_id: UUID = row.id
    return publication_id


async def test_what_is_deprecated_at_every_backend_is_closed_at_the_gateway(world: World, sim: Engine) -> None:
    publication_id = await published(world, "chat")
    allowed = "SELECT allowed_org_ids FROM gateway_publications_v3"
    assert (await world.rows(allowed))[0].allowed_org_ids == [str(world.orgs["alpha"])]
    sim.serves("embed")
    for _ in range(MISSES):
        await discovered(world)
    assert (await world.rows(allowed))[0].allowed_org_ids == []
    assert ("publication", str(publication_id)) in await world.changes()


async def test_ten_thousand_models_are_taken_in_bulk(world: World, sim: Engine) -> None:
    backend_id = UUID((await world["root"].ok("GET", "/backend/gpu"))["id"])
    told = [Told(f"model-{number}", 8192, metadata={"owned_by": "vllm"}) for number in range(10_000)]
    seconds = []
    for models in (told, told[5_000:], [Told(one.upstream_model, 4096) for one in told]):
        started = time.perf_counter()
        async with unit_of_work(world.engine) as uow:
            await discover(uow, backend_id, models, datetime.now(UTC))
        seconds.append(time.perf_counter() - started)
    print("10,000 new, 5,000 missed, 10,000 changed:", [f"{one:.2f} s" for one in seconds])
    assert (await world.rows("SELECT count(*) AS models FROM catalog_models WHERE context_tokens = 4096"))[0].models == 10_000
    assert max(seconds) < 10, "in statements, not in rows; about half a second each on an idle machine"
