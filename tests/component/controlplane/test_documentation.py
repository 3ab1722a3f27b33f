"""Who may read how a model is called, and in which form it comes."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
from fastapi import FastAPI

from controlplane.publishing.reconciler import Reconciler
from tests.component.controlplane.world import World
from tests.support.engine import engine_running
from tests.support.gateway_memory import MemoryGateway

PATH = "/models/chat/publish/documentation"


@pytest.fixture
async def published(world: World, app: FastAPI) -> AsyncIterator[World]:
    """alpha owns `chat` and shares it with beta; gamma has nothing."""
    runtime = app.state.runtime
    app.state.runtime = replace(runtime, publisher=replace(runtime.publisher, reconciler=Reconciler(runtime.engine, MemoryGateway())))
    async with engine_running("chat") as engine:
        root = world["root"]
        await root.ok("POST", "/backend", {"name": "a", "baseUrl": engine.url})
        await publish(world, "alpha", "beta")
        yield world


async def publish(world: World, *tenants: str) -> str:
    config = {"tenantId": "alpha", "rateLimiting": {"requestsPerMinute": 100}, "authentication": {"allowedTenants": list(tenants)}}
    made = await world["root"].ok("POST", "/models/chat/publish", {"config": config})
    return str(made["apiKey"])


def refused(response: httpx2.Response) -> bool:
    return (response.status_code, response.json()["code"]) == (404, "NOT_PUBLISHED")


async def test_all_whose_org_may_call_the_model_and_system_admins_read_it(published: World) -> None:
    for name in ("root", "alpha-admin", "alpha-user", "beta-admin", "beta-user"):
        document = await published[name].ok("GET", PATH)
        assert (document["modelName"], document["kind"]) == ("chat", "chat"), name
        assert document["limits"] == [{"name": "requestsPerMinute", "value": 100, "meaning": "requests in a minute, refilled all the time"}]


async def test_to_others_it_is_not_there(published: World) -> None:
    change = {"config": {"authentication": {"allowedTenants": ["alpha"]}}}
    await published["root"].ok("PUT", "/models/chat/publish", change)
    not_theirs = await published["beta-user"].call("GET", PATH)
    unknown = await published["beta-user"].call("GET", "/models/nothing/publish/documentation")
    assert refused(not_theirs)
    assert refused(unknown)
    assert not_theirs.json()["detail"].replace("chat", "nothing") == unknown.json()["detail"]
    assert (await published["alpha-user"].call("GET", PATH)).status_code == 200


async def test_an_unpublished_model_has_none(published: World) -> None:
    await published["root"].ok("DELETE", "/models/chat/publish")
    for name in ("root", "alpha-user"):
        assert refused(await published[name].call("GET", PATH))


async def test_of_a_publication_that_is_not_live_only_system_admins_read(published: World) -> None:
    await published.rows("UPDATE publications SET status = 'pending' RETURNING id")
    assert refused(await published["alpha-user"].call("GET", PATH))
    assert (await published["root"].call("GET", PATH)).status_code == 200


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", "*/*", "application/json"),
        ("", "text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("", "text/markdown", "text/markdown; charset=utf-8"),
        ("?format=md", "text/html", "text/markdown; charset=utf-8"),
        ("?format=html", "application/json", "text/html; charset=utf-8"),
        ("?format=json", "text/html", "application/json"),
    ],
)
async def test_the_form_is_asked_for_or_negotiated(published: World, query: str, accept: str, media_type: str) -> None:
    response = await published["alpha-user"].call("GET", PATH + query, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["vary"] == "accept"


async def test_the_page_runs_nothing_and_is_framed_by_nobody(published: World) -> None:
    response = await published["alpha-user"].call("GET", PATH, headers={"accept": "text/html"})
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'none'")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in response.text


async def test_no_key_is_in_any_form(published: World) -> None:
    await published["root"].ok("DELETE", "/models/chat/publish")
    api_key = await publish(published, "alpha")
    for form in ("json", "md", "html"):
        text = (await published["root"].call("GET", f"{PATH}?format={form}")).text
        assert "IAS_API_KEY" in text
        assert api_key[:12] not in text


async def test_what_the_catalog_knows_of_a_model_decides_on_its_examples(published: World) -> None:
    assert (await published["alpha-user"].ok("GET", PATH))["kind"] == "chat"
    known = await published.rows("UPDATE catalog_models SET set_capabilities = ARRAY['embeddings'] RETURNING id")
    assert len(known) == 1
    document = await published["alpha-user"].ok("GET", PATH)
    assert document["kind"] == "embeddings"
    assert [example["file"] for example in document["examples"]] == ["", "embeddings.py", "embeddings.mjs"]


async def test_another_form_is_refused(published: World) -> None:
    response = await published["alpha-user"].call("GET", f"{PATH}?format=pdf")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
