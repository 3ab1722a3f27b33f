"""The unmodified `openai` client, sync and async, through real Envoy: the client sees exactly what it asked for."""

import asyncio
from typing import Any

import openai
import pytest

from tests.e2e.world import CHAT, Tenant, World, simulate, until

TEN = simulate(tokens=10)


def stream_sync(world: World, key: str, **arguments: Any) -> list[Any]:
    return list(world.client(key).chat.completions.create(stream=True, **arguments))


def stream_async(world: World, key: str, **arguments: Any) -> list[Any]:
    async def collect() -> list[Any]:
        async with world.async_client(key) as client:
            return [chunk async for chunk in await client.chat.completions.create(stream=True, **arguments)]

    return asyncio.run(collect())


both = pytest.mark.parametrize("stream", [stream_sync, stream_async], ids=["sync", "async"])


@both
def test_a_stream_without_include_usage_shows_no_usage(stream: Any, module_world: World, tenant: Tenant, model: str) -> None:
    chunks = stream(module_world, tenant.api_key, model=model, messages=CHAT, extra_headers=TEN)
    assert all(chunk.choices for chunk in chunks), "the usage chunk was not asked for"
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()


@both
def test_a_stream_with_include_usage_ends_with_the_engines_usage(stream: Any, module_world: World, tenant: Tenant, model: str) -> None:
    chunks = stream(module_world, tenant.api_key, model=model, messages=CHAT, stream_options={"include_usage": True}, extra_headers=TEN)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 10
    assert all(chunk.usage is None for chunk in chunks[:-1])


@both
def test_usage_of_a_stream_is_counted_whether_asked_for_or_not(stream: Any, world: World) -> None:
    tenant = world.tenant()  # its own: events of earlier tests may still be on their way to another tenant's totals
    model = world.publish(tenant)
    prompts, generated = world.engine_tokens("sim-chat")
    stream(world, tenant.api_key, model=model, messages=CHAT, extra_headers=TEN)
    stream(world, tenant.api_key, model=model, messages=CHAT, stream_options={"include_usage": True}, extra_headers=TEN)
    until(lambda: world.totals(tenant)["requests"] == 2)
    counted = world.totals(tenant)
    now_prompts, now_generated = world.engine_tokens("sim-chat")
    assert counted["outputTokens"] == now_generated - generated == 20
    assert counted["inputTokens"] == now_prompts - prompts > 0


def test_a_completion_that_is_not_streamed(module_world: World, tenant: Tenant, model: str) -> None:
    answer = module_world.client(tenant.api_key).chat.completions.with_raw_response.create(model=model, messages=CHAT, extra_headers=TEN)
    assert "content-length" in answer.headers, "a small answer keeps its length"
    completion = answer.parse()
    assert completion.usage is not None
    row = module_world.row(tenant.user, answer.headers["x-request-id"])
    assert (row["inputTokens"], row["outputTokens"]) == (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    assert (row["outcome"], row["usageSource"], row["httpStatus"]) == ("complete", "reported", 200)


def test_legacy_completions_and_embeddings(module_world: World, tenant: Tenant, model: str) -> None:
    client = module_world.client(tenant.api_key)
    text = client.completions.with_raw_response.create(model=model, prompt="Once upon a time", max_tokens=5)
    assert module_world.row(tenant.user, text.headers["x-request-id"])["outputTokens"] == 5
    vectors = client.embeddings.with_raw_response.create(model=model, input=["one two", "three"], encoding_format="float")
    assert len(vectors.parse().data) == 2
    row = module_world.row(tenant.user, vectors.headers["x-request-id"])
    assert row["endpoint"] == "embeddings"
    assert row["inputTokens"] > 0
    assert row["outputTokens"] == 0


def test_models_are_those_the_key_may_use(world: World) -> None:
    one, other = world.tenant(), world.tenant()
    mine, shared, foreign = world.publish(one), world.publish(one, other), world.publish(other)
    assert {mine, shared} <= world.model_names(one.api_key)
    assert foreign not in world.model_names(one.api_key)
    assert world.client(one.api_key).models.retrieve(mine).id == mine
    with pytest.raises(openai.NotFoundError):
        world.client(one.api_key).models.retrieve(foreign)


def test_errors_are_the_sdks_own_classes(world: World) -> None:
    one, other = world.tenant(), world.tenant()
    limited = world.publish(one, requestsPerMinute=1, burstLimit=1)
    foreign = world.publish(other)
    narrow = one.user.call("POST", "/api/key", json={"name": "narrow", "allowedModels": ["something-else*"]})["apiKey"]

    def ask(key: str, model: str, **arguments: Any) -> Any:
        return world.client(key).chat.completions.create(model=model, messages=CHAT, **arguments)

    with pytest.raises(openai.AuthenticationError) as no_key:
        ask("ias_live_nonsense", limited)
    assert no_key.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as not_found:
        ask(one.api_key, foreign)
    assert not_found.value.code == "model_not_found"
    world_sees_key(world, narrow)
    with pytest.raises(openai.PermissionDeniedError) as not_allowed:
        ask(narrow, limited)
    assert not_allowed.value.code == "model_not_allowed"
    with pytest.raises(openai.BadRequestError) as bad:
        ask(one.api_key, limited, extra_body={"messages": None, "stream": "yes"})
    assert bad.value.param == "stream"

    first = world.client(one.api_key).chat.completions.with_raw_response.create(model=limited, messages=CHAT)
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as limit:
        ask(one.api_key, limited)
    headers = limit.value.response.headers
    assert limit.value.code == "rate_limit_exceeded"
    assert 0 < int(headers["retry-after"]) <= 60
    assert 0 < int(headers["retry-after-ms"]) <= 60_000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-request-id"]


def test_too_large_and_unavailable_are_the_sdks_own_classes_too(module_world: World, tenant: Tenant, model: str) -> None:
    def ask(**arguments: Any) -> Any:
        return module_world.client(tenant.api_key).chat.completions.create(model=model, **arguments)

    with pytest.raises(openai.APIStatusError) as too_large:
        ask(messages=[{"role": "user", "content": "x" * 11 * 1024 * 1024}])
    assert (too_large.value.status_code, too_large.value.code) == (413, "request_too_large")
    with pytest.raises(openai.InternalServerError) as unavailable:
        ask(messages=CHAT, extra_headers=simulate(reset_after=0))
    assert (unavailable.value.status_code, unavailable.value.code) == (503, "service_unavailable")
    assert int(unavailable.value.response.headers["retry-after"]) > 0


def world_sees_key(world: World, key: str) -> None:
    """A key is usable at most one poll of the change log after it was made."""

    def known() -> bool:
        try:
            world.client(key).models.list()
        except openai.AuthenticationError:
            return False
        return True

    until(known, 2)


def test_an_engine_that_fails_is_shown_as_it_is_and_recorded(module_world: World, tenant: Tenant, model: str) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        module_world.client(tenant.api_key).chat.completions.create(model=model, messages=CHAT, extra_headers=simulate(status=503))
    row = module_world.row(tenant.user, failed.value.response.headers["x-request-id"])
    assert (row["outcome"], row["httpStatus"], row["outputTokens"]) == ("upstream_error", 503, 0)
