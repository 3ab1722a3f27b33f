"""Publishing on a real PostgreSQL, with a gateway in memory."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from controlplane.publishing.saga import CANARY_ORG_ID
from tests.component.controlplane.publications import problem, publications_seen, publish, reconciled, set_limits, usable_keys
from tests.component.controlplane.world import Person, World
from tests.support.engine import Engine
from tests.support.gateway_memory import REJECTED, UNREACHABLE, MemoryGateway
from tests.support.waiting import until


async def test_publishing_with_the_guides_body(world: World, root: Person, gateway: MemoryGateway) -> None:
    response = await publish(
        root,
        publicHostname="api.router.inference-in-a-box",
        externalPath="/models/chat",
        rateLimiting={"requestsPerMinute": 100, "requestsPerHour": 5000, "tokensPerHour": 100000, "burstLimit": 10},
        authentication={"requireApiKey": True, "allowedTenants": ["alpha", "beta"]},
    )
    assert response.status_code == 201, response.text
    made = response.json()
    assert made["apiKey"].startswith("ias_live_")
    assert made["apiKey"].startswith(made["apiKeyHint"].removesuffix("…"))
    assert (made["modelName"], made["tenantId"], made["modelType"], made["status"]) == ("chat", "alpha", "openai", "published")
    assert (made["endpoint"], made["externalPath"]) == ("https://api.router.inference-in-a-box/v1", "/models/chat")
    assert set_limits(made) == {"requestsPerMinute": 100, "requestsPerHour": 5000, "tokensPerHour": 100000, "burstLimit": 10}
    assert made["authentication"] == {"requireApiKey": True, "allowedTenants": ["alpha", "beta"]}
    assert made["usage"] == {"totalRequests": 0, "requestsToday": 0, "tokensUsed": 0, "lastAccessTime": None}
    assert gateway.models == ["chat"]
    (seen,) = await publications_seen(world)
    assert set(seen.allowed_org_ids) == {str(world.orgs["alpha"]), str(world.orgs["beta"])}
    assert (seen.requests_per_minute, seen.burst_limit, seen.upstream_model) == (100, 10, "chat")
    assert ("publication", seen.publication_id) in await world.changes()


async def test_what_the_gateway_leaves_comes_in_turns_of_its_own(root: Person, gateway: MemoryGateway, app: FastAPI) -> None:
    """A cluster that has lost much is repaired in portions, and whoever publishes has his turn between them."""
    reconciler = app.state.runtime.publisher.reconciler
    gateway.leaves = 1
    repairing = asyncio.create_task(reconciler.run())
    await until(lambda: len(gateway.asked) == 2)
    assert (await publish(root)).status_code == 201
    assert gateway.asked == [None, None, ["chat"]]
    gateway.leaves = 1_000_000
    reconciler.wake()
    await until(lambda: len(gateway.asked) > 5)
    async with asyncio.timeout(10):
        assert (await root.call("PUT", "/models/chat/publish", json={"config": {"traffic": {"maxRequests": 5}}})).status_code == 200
    assert gateway.asked.count(["chat"]) == 2
    repairing.cancel()
    await asyncio.gather(repairing, return_exceptions=True)


async def test_the_key_belongs_to_the_tenants_service_identity_and_opens_this_model_only(world: World, root: Person) -> None:
    made = (await publish(root)).json()
    (credential,) = await usable_keys(world)
    assert (credential.org_id, list(credential.allowed_models)) == (str(world.orgs["alpha"]), ["chat"])
    assert credential.credential_id == made["apiKey"].split("_")[2][:8]
    (owner,) = await world.rows("SELECT role FROM users WHERE id = :id", id=credential.user_id)
    assert owner.role == "service"


async def test_the_key_is_never_shown_again_nor_kept(world: World, root: Person) -> None:
    key = (await publish(root)).json()["apiKey"]
    for path in ("/models/chat/publish", "/published-models"):
        response = await root.call("GET", path)
        assert response.is_success
        assert key not in response.text
        assert "apiKey" not in response.json()
    assert key not in repr([tuple(row) for row in await world.audit()])


async def test_a_model_name_of_its_own_is_mapped_to_the_engines(world: World, root: Person, gateway: MemoryGateway) -> None:
    made = (await publish(root, "my-chat", upstreamModel="chat", tenantId=str(world.orgs["alpha"]))).json()
    assert (made["backend"], made["upstreamModel"], made["externalPath"]) == ("a", "chat", "/v1/models/my-chat")
    (seen,) = await publications_seen(world)
    assert (seen.model, seen.upstream_model) == ("my-chat", "chat")


async def test_a_gateway_that_only_watches_takes_nothing_that_it_cannot_do(world: World, app: FastAPI, root: Person) -> None:
    runtime = app.state.runtime
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, metering="shadow"))
    strict, renamed = {"rateLimiting": {"admissionMode": "strict"}}, {"upstreamModel": "shared", "backend": "a"}
    assert problem(await publish(root, **strict)) == (422, "SHADOW_ADMISSION_MODE")
    assert problem(await publish(root, **renamed)) == (422, "SHADOW_RENAMED_MODEL")
    made = (await publish(root, rateLimiting={"requestsPerMinute": 5})).json()
    assert made["rateLimiting"]["admissionMode"] == "lenient", "where nothing is said, what the gateway can do"
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": strict})) == (422, "SHADOW_ADMISSION_MODE")
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": renamed})) == (422, "SHADOW_RENAMED_MODEL")
    await root.ok("PUT", "/models/chat/publish", {"config": {"rateLimiting": {"requestsPerMinute": 6}}})


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("chat", {"tenantId": "nobody"}, (404, "INVALID_TENANT")),
        ("chat", {"authentication": {"allowedTenants": ["alpha", "nobody"]}}, (404, "INVALID_TENANT")),
        ("chat", {"authentication": {"allowedTenants": ["beta"]}}, (422, "INVALID_TENANT")),
        ("chat", {"authentication": {"allowedTenants": []}}, (422, "invalid_request")),
        ("chat", {"authentication": {"requireApiKey": False}}, (422, "API_KEY_REQUIRED")),
        ("chat", {"rateLimiting": {"requestsPerMinute": -1}}, (422, "invalid_request")),
        ("chat", {"rateLimiting": {"burstLimit": 5}}, (422, "invalid_request")),
        ("chat", {"externalPath": "/a/../b"}, (422, "invalid_request")),
        ("chat", {"publicHostname": "a b"}, (422, "invalid_request")),
        ("chat", {"surprise": 1}, (422, "invalid_request")),
        ("no-such-model", {}, (404, "MODEL_NOT_FOUND")),
        ("chat", {"backend": "no-such-backend"}, (404, "MODEL_NOT_FOUND")),
        ("chat", {"backend": "b"}, (404, "MODEL_NOT_FOUND")),
        ("shared", {}, (409, "AMBIGUOUS_BACKEND")),
        ("-x", {}, (422, "invalid_model_name")),
        ("x" * 129, {}, (422, "invalid_model_name")),
        ("meta/llama", {}, (422, "invalid_model_name")),
        ("meta%2Fllama", {}, (422, "invalid_model_name")),
    ],
)
async def test_what_cannot_be_published_is_refused_and_nothing_stays(
    world: World, root: Person, gateway: MemoryGateway, name: str, config: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert problem(await publish(root, name, **config)) == expected
    assert gateway.applied == 0
    assert await world.rows("SELECT 1 FROM publications") == []
    assert await world.rows("SELECT 1 FROM keys") == []
    assert (await world.audit())[-1].outcome == "failed"


async def test_a_backend_settles_what_several_serve(root: Person) -> None:
    assert (await publish(root, "shared", backend="b")).json()["backend"] == "b"


async def test_a_model_whose_engine_is_down_is_not_ready(root: Person, engine_a: Engine) -> None:
    engine_a.answers["/health"] = (500, b"")
    await root.ok("POST", "/backend/a/check")
    response = await publish(root)
    assert problem(response) == (409, "MODEL_NOT_READY")
    assert "status 500" in response.json()["detail"]


async def test_publishing_twice_is_refused(root: Person) -> None:
    await publish(root)
    assert problem(await publish(root)) == (409, "ALREADY_PUBLISHED")


async def test_of_many_who_publish_the_same_name_at_once_one_wins(world: World, root: Person, gateway: MemoryGateway) -> None:
    answers = await asyncio.gather(*(publish(root) for _ in range(15)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 14
    assert len(await usable_keys(world)) == 1
    assert gateway.models == ["chat"]


@pytest.mark.parametrize("who", ["alpha-admin", "alpha-user"])
async def test_only_a_system_admin_publishes(world: World, root: Person, who: str) -> None:
    await publish(root)
    for method, path in [
        ("POST", "/models/x/publish"),
        ("GET", "/models/chat/publish"),
        ("PUT", "/models/chat/publish"),
        ("DELETE", "/models/chat/publish"),
        ("GET", "/published-models"),
    ]:
        body = {"config": {"tenantId": "alpha"}} if method in {"POST", "PUT"} else None
        assert problem(await world[who].call(method, path, body)) == (403, "forbidden")


@pytest.mark.parametrize(("failure", "expected"), [(REJECTED, (502, "GATEWAY_REJECTED")), (UNREACHABLE, (503, "GATEWAY_UNREACHABLE"))])
async def test_what_the_gateway_does_not_take_is_undone(
    world: World, root: Person, gateway: MemoryGateway, failure: Exception, expected: tuple[int, str]
) -> None:
    gateway.fails_with = failure
    response = await publish(root)
    assert problem(response) == expected
    assert str(failure) in response.json()["detail"]
    assert problem(await root.call("GET", "/models/chat/publish")) == (404, "NOT_PUBLISHED")
    assert await usable_keys(world) == []
    assert await publications_seen(world) == []
    assert not [change for change in await world.changes() if change[0] == "publication"], "extauth never hears of it"
    gateway.fails_with = None
    await reconciled(world)
    assert gateway.models == []
    assert (await publish(root)).status_code == 201


async def test_a_gateway_that_breaks_in_an_unforeseen_way_leaves_nothing_behind_either(world: World, root: Person, gateway: MemoryGateway) -> None:
    gateway.fails_with = RuntimeError("disk full")
    assert problem(await publish(root)) == (500, "internal_error")
    assert await world.rows("SELECT 1 FROM publications WHERE status <> 'deleted'") == []
    assert await usable_keys(world) == []


async def test_a_publication_left_behind_by_a_process_that_died_is_undone(world: World, root: Person, gateway: MemoryGateway) -> None:
    await publish(root)
    await world.rows("UPDATE publications SET status = 'pending' RETURNING id")
    await reconciled(world)
    assert gateway.models == []
    assert await usable_keys(world) == []
    assert (await publish(root)).status_code == 201


async def test_a_change_keeps_what_it_does_not_name(world: World, root: Person) -> None:
    limits = {"requestsPerMinute": 100, "requestsPerHour": 5000, "tokensPerHour": 100000, "burstLimit": 10}
    await publish(root, publicHostname="a.example", rateLimiting=limits)
    config = {"tenantId": "alpha", "publicHostname": "b.example", "rateLimiting": {"requestsPerMinute": 200, "tokensPerHour": None}}
    changed = await root.ok("PUT", "/models/chat/publish", {"config": config})
    assert set_limits(changed) == {"requestsPerMinute": 200, "requestsPerHour": 5000, "burstLimit": 10}
    assert (changed["publicHostname"], changed["version"]) == ("b.example", 2)
    assert changed["authentication"] == {"requireApiKey": True, "allowedTenants": ["alpha"]}
    (seen,) = await publications_seen(world)
    assert seen.requests_per_minute == 200


async def test_how_tokens_are_held_reaches_the_data_plane(world: World, root: Person) -> None:
    limits = {"tokensPerMinute": 500, "concurrentRequests": 2, "dryRun": ["tokensPerMinute"], "admissionMode": "strict"}
    await publish(root, contextTokens=4096, outputCap=512, continuousUsage=True, rateLimiting=limits)
    held = "SELECT admission_mode, context_tokens, output_cap, continuous_usage, limits FROM gateway_publications_v2"
    published = {"tokensPerMinute": 500, "concurrentRequests": 2, "dryRun": ["tokensPerMinute"]}
    assert [tuple(row) for row in await world.rows(held)] == [("strict", 4096, 512, True, published)]
    config = {"outputCap": None, "rateLimiting": {"admissionMode": "lenient", "tokensPerMinute": None}}
    changed = await root.ok("PUT", "/models/chat/publish", {"config": config})
    assert (changed["contextTokens"], changed["outputCap"], changed["continuousUsage"]) == (4096, None, True)
    del published["tokensPerMinute"]
    assert [tuple(row) for row in await world.rows(held)] == [("lenient", 4096, None, True, published)]
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": {"outputCap": 5000}})) == (422, "invalid_request")


async def test_a_change_of_tenants_reaches_the_data_plane(world: World, root: Person) -> None:
    await publish(root)
    before = len(await world.changes())
    await root.ok("PUT", "/models/chat/publish", {"config": {"authentication": {"allowedTenants": ["alpha", "beta"]}}})
    (seen,) = await publications_seen(world)
    assert set(seen.allowed_org_ids) == {str(world.orgs["alpha"]), str(world.orgs["beta"])}
    assert (await world.changes())[before:] == [("publication", seen.publication_id)]


async def test_a_model_moves_to_another_backend_once_the_gateway_sends_it_there(world: World, root: Person, gateway: MemoryGateway) -> None:
    await publish(root, "shared", backend="a")
    (before,) = gateway.served.routes
    changed = await root.ok("PUT", "/models/shared/publish", {"config": {"backend": "b"}})
    (after,) = gateway.served.routes
    assert (changed["backend"], changed["upstreamModel"]) == ("b", "shared")
    assert before.targets != after.targets


async def test_a_move_that_the_gateway_refuses_changes_nothing(world: World, root: Person, gateway: MemoryGateway) -> None:
    await publish(root, "shared", backend="a")
    changes = await world.changes()
    gateway.fails_with = REJECTED
    assert problem(await root.call("PUT", "/models/shared/publish", {"config": {"backend": "b"}})) == (502, "GATEWAY_REJECTED")
    assert (await root.ok("GET", "/models/shared/publish"))["backend"] == "a"
    assert await world.changes() == changes


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"tenantId": "beta"}, (422, "TENANT_CHANGE")),
        ({"authentication": {"requireApiKey": False}}, (422, "API_KEY_REQUIRED")),
        ({"authentication": {"allowedTenants": ["beta"]}}, (422, "INVALID_TENANT")),
        ({"upstreamModel": "embed"}, (404, "MODEL_NOT_FOUND")),
        ({"rateLimiting": {"burstLimit": 3}}, (422, "invalid_request")),
    ],
)
async def test_what_cannot_be_changed_is_refused(root: Person, config: dict[str, Any], expected: tuple[int, str]) -> None:
    before = (await publish(root)).json()
    assert problem(await root.call("PUT", "/models/chat/publish", {"config": config})) == expected
    after = await root.ok("GET", "/models/chat/publish")
    assert {name: before[name] for name in after} == after


async def test_a_change_of_an_older_version_is_refused(world: World, root: Person) -> None:
    etag = (await publish(root)).headers["etag"]
    body = {"config": {"rateLimiting": {"requestsPerMinute": 5}}}
    root.headers["if-match"] = etag
    assert (await root.call("PUT", "/models/chat/publish", body)).status_code == 200
    assert problem(await root.call("PUT", "/models/chat/publish", body)) == (412, "version_conflict")


async def test_unpublishing_stops_admission_first_and_then_removes_the_route(world: World, root: Person, gateway: MemoryGateway) -> None:
    publication_id = (await publish(root)).json()["id"]
    before = len(await world.changes())
    assert (await root.call("DELETE", "/models/chat/publish")).status_code == 204
    assert ("publication", publication_id) in (await world.changes())[before:]
    assert await publications_seen(world) == []
    assert await usable_keys(world) == []
    assert gateway.models == ["chat"], "requests that were admitted just before still find their route"
    await reconciled(world)
    assert gateway.models == []
    assert problem(await root.call("DELETE", "/models/chat/publish")) == (404, "NOT_PUBLISHED")


async def test_a_name_can_be_published_again_with_a_new_key(world: World, root: Person, gateway: MemoryGateway) -> None:
    first = (await publish(root)).json()
    await root.ok("DELETE", "/models/chat/publish")
    second = (await publish(root)).json()
    assert first["id"] != second["id"]
    assert first["apiKey"] != second["apiKey"]
    assert gateway.models == ["chat"]
    assert len(await usable_keys(world)) == 1


async def test_the_background_loop_applies_the_state_at_its_start_and_whenever_woken(world: World, root: Person, gateway: MemoryGateway) -> None:
    await publish(root)
    gateway.served = type(gateway.served)()  # the gateway lost everything
    running = asyncio.create_task(world.runtime.publisher.reconciler.run())
    try:
        await until(lambda: gateway.models == ["chat"])
        await root.ok("DELETE", "/models/chat/publish")
        await until(lambda: not gateway.models)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_without_a_gateway_nothing_can_be_published(world: World, engine_a: Engine) -> None:
    await world["root"].ok("POST", "/backend", {"name": "a", "baseUrl": engine_a.url})
    response = await publish(world["root"])
    assert problem(response) == (503, "GATEWAY_UNREACHABLE")
    assert "IAS_GATEWAY_DIR" in response.json()["detail"]


async def test_publications_are_listed_newest_first_by_page_and_tenant(root: Person) -> None:
    for name, tenant in [("one", "alpha"), ("two", "beta"), ("three", "alpha")]:
        await publish(root, name, upstreamModel="chat", tenantId=tenant)
    page = await root.ok("GET", "/published-models?limit=2")
    rest = await root.ok("GET", f"/published-models?limit=2&cursor={page['nextCursor']}")
    assert [[item["modelName"] for item in part["items"]] for part in (page, rest)] == [["three", "two"], ["one"]]
    assert rest["nextCursor"] is None
    mine = await root.ok("GET", "/published-models?tenantId=alpha")
    assert [item["modelName"] for item in mine["items"]] == ["three", "one"]
    assert problem(await root.call("GET", "/published-models?tenantId=nobody")) == (404, "INVALID_TENANT")


async def test_use_of_a_publication_comes_from_the_ledger(world: World, root: Person) -> None:
    made = (await publish(root)).json()
    insert = """INSERT INTO ledger (admitted_at, event_id, org_id, user_id, key_id, publication_id, model, upstream_model, endpoint,
        stream, outcome, http_status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
        usage_source, held_tokens, duration_ms, ended_at, request_id)
      SELECT now() - d * interval '1 day', gen_random_uuid(), id, id, id, :publication, 'chat', 'chat', 'chat_completions',
        true, 'complete', 200, 10, 4, 5, 0, 'reported', 0, 1, now(), 'r'
      FROM orgs, generate_series(0, 2) AS d WHERE slug = 'alpha' RETURNING admitted_at"""
    admitted = await world.rows(insert, publication=made["id"])
    of_the_canary = insert.replace("SELECT now()", "SELECT now() + interval '1 hour'").replace(
        "gen_random_uuid(), id,", "gen_random_uuid(), :canary,"
    )
    await world.rows(of_the_canary, publication=made["id"], canary=CANARY_ORG_ID)
    usage = (await root.ok("GET", "/models/chat/publish"))["usage"]
    assert (usage["totalRequests"], usage["requestsToday"], usage["tokensUsed"]) == (3, 1, 45)
    assert usage["lastAccessTime"] == max(row.admitted_at for row in admitted).isoformat().replace("+00:00", "Z")


async def test_one_more_is_published_beside_5000(world: World, root: Person, gateway: MemoryGateway) -> None:
    many = """WITH made AS (
        INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status)
        SELECT gen_random_uuid(), 'model-' || n, orgs.id, 'openai', 'chat', backends.id, 'published'
        FROM generate_series(1, 5000) AS n, orgs, backends WHERE slug = 'alpha' AND backends.name = 'a' RETURNING id, org_id)
      INSERT INTO publication_tenants SELECT id, org_id FROM made RETURNING 1"""
    assert len(await world.rows(many)) == 5000
    await root.ok("PUT", "/org/alpha/publishing", {"maxPublications": 10_000})
    assert (await publish(root)).status_code == 201
    assert len(gateway.models) == 5001
