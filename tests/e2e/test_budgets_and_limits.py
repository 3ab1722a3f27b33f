"""Token limits and budgets as the official client meets them, through real Envoy and the real services."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.world import CHAT, Tenant, World, simulate, until
from tests.support.simulator import Simulator, running_simulator
from tests.support.stack import Stack

TOKEN_HEADERS = {f"x-ratelimit-{what}-tokens" for what in ("limit", "remaining", "reset")}
ENDLESS = simulate(tokens=100_000, pace_ms=2)


def set_budget(world: World, tenant: Tenant, tokens: int, mode: str = "balanced") -> None:
    world.admin.call("PUT", f"/api/org/{tenant.org_id}/budget/month", json={"tokens": tokens})
    world.admin.call("PUT", f"/api/org/{tenant.org_id}/limits", json={"admissionMode": mode})


def budget(world: World, tenant: Tenant) -> dict[str, Any]:
    state: dict[str, Any] = world.admin.call("GET", f"/api/org/{tenant.org_id}/budget/month")
    return state


def ask(world: World, tenant: Tenant, model: str, **arguments: Any) -> Any:
    return world.client(tenant.api_key).chat.completions.with_raw_response.create(model=model, messages=CHAT, **arguments)


def limited(world: World, tenant: Tenant, model: str) -> bool:
    """Whether the data plane knows of a limit of tokens: it reads the change log twice a second."""
    return ask(world, tenant, model, max_tokens=1).headers.keys() >= TOKEN_HEADERS


def test_token_limits_are_told_on_every_answer(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant, tokensPerMinute=60_000)
    until(lambda: limited(world, tenant, model))
    answer = ask(world, tenant, model, max_tokens=10)
    assert answer.headers["x-ratelimit-limit-tokens"] == "60000"
    assert 0 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 60_000
    assert answer.headers["x-ratelimit-reset-tokens"]


def test_a_spent_budget_is_the_sdks_own_exception_and_is_not_tried_again(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    set_budget(world, tenant, 2_000, mode="strict")
    until(lambda: limited(world, tenant, model))

    def spent() -> openai.RateLimitError | None:
        try:
            ask(world, tenant, model, max_tokens=300, extra_headers=simulate(tokens=300, pace_ms=0))
        except openai.RateLimitError as error:
            return error if error.code == "insufficient_quota" else None
        return None

    error = until(spent, 30)
    assert error is not None
    assert (error.type, error.code) == ("insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert int(error.response.headers["retry-after"]) > 0
    assert error.response.headers["x-request-id"]
    anthropic = httpx2.post(
        f"{world.gateway}/v1/messages",
        json={"model": model, "max_tokens": 500, "messages": CHAT},
        headers={"x-api-key": tenant.api_key, "anthropic-version": "2023-06-01"},
    )
    assert (anthropic.status_code, anthropic.json()["type"], anthropic.json()["error"]["type"]) == (429, "error", "rate_limit_error")
    assert budget(world, tenant)["spent"] <= 2_000, "strict never overspends"


@pytest.fixture(scope="module")
def engine(stack: Stack | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """An engine of this module's own, that says of each request when it stopped."""
    if stack is None:
        pytest.skip("its engine must reach the gateway: only with a service that was started here")
    with running_simulator(tmp_path_factory.mktemp("engine"), "--models", "e2e-endless") as running:
        yield running


@pytest.fixture
def endless(world: World, engine: Simulator) -> tuple[Tenant, str]:
    """A tenant whose budget ends in the middle of an endless stream, which is topped up until then."""
    tenant = world.tenant()
    world.admin.call("POST", "/api/backend", json={"name": f"b-{tenant.slug}", "baseUrl": engine.url})
    model = world.publish(tenant, upstream="e2e-endless", config={"backend": f"b-{tenant.slug}"})
    set_budget(world, tenant, 2_000)
    until(lambda: limited(world, tenant, model))
    return tenant, model


def stream_sync(world: World, key: str, model: str, http: dict[str, bool]) -> tuple[str, list[Any]]:
    with (
        httpx2.Client(**http, timeout=60) as transport,
        openai.OpenAI(base_url=f"{world.gateway}/v1", api_key=key, max_retries=0, http_client=transport) as client,
    ):
        raw = client.chat.completions.with_raw_response.create(model=model, messages=CHAT, stream=True, extra_headers=ENDLESS)
        return raw.headers["x-request-id"], list(raw.parse())


def stream_async(world: World, key: str, model: str, http: dict[str, bool]) -> tuple[str, list[Any]]:
    async def collect() -> tuple[str, list[Any]]:
        async with (
            httpx2.AsyncClient(**http, timeout=60) as transport,
            openai.AsyncOpenAI(base_url=f"{world.gateway}/v1", api_key=key, max_retries=0, http_client=transport) as client,
        ):
            raw = await client.chat.completions.with_raw_response.create(model=model, messages=CHAT, stream=True, extra_headers=ENDLESS)
            return raw.headers["x-request-id"], [chunk async for chunk in raw.parse()]

    return asyncio.run(collect())


@pytest.mark.parametrize("stream", [stream_sync, stream_async], ids=["sync", "async"])
@pytest.mark.parametrize("http", [{"http1": True}, {"http1": False, "http2": True}], ids=["h1", "h2"])
def test_a_stream_that_may_not_grow_ends_for_the_sdk_as_streams_end(
    stream: Any, http: dict[str, bool], world: World, endless: tuple[Tenant, str], engine: Simulator
) -> None:
    tenant, model = endless
    request_id, chunks = stream(world, tenant.api_key, model, http)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    entry = until(lambda: engine.entries().get(request_id), 20)
    assert (entry.end, entry.generated < 100_000) == ("abort", True)
    row = world.row(tenant.user, request_id)
    assert (row["outcome"], row["httpStatus"]) == ("complete", 200)
    assert row["outputTokens"] > 0
