"""Responses, messages and several choices: what the client sees is the engine's, and what is counted is what the engine says."""

from typing import Any

import httpx2
import openai

from tests.e2e.world import CHAT, Tenant, World, simulate

SHOWN = simulate(tokens=12, pace_ms=1, cached=4, reasoning=5)


def counted(world: World, tenant: Tenant, request_id: str) -> tuple[int, int, int, int]:
    """Input, cached input, output and reasoning of the one row, which must be complete and reported."""
    row = world.row(tenant.user, request_id)
    assert (row["outcome"], row["usageSource"], row["httpStatus"]) == ("complete", "reported", 200)
    return row["inputTokens"], row["cachedInputTokens"], row["outputTokens"], row["reasoningTokens"]


def client(world: World, tenant: Tenant) -> openai.OpenAI:
    return world.client(tenant.api_key)


def test_responses(module_world: World, tenant: Tenant, model: str) -> None:
    raw = client(module_world, tenant).responses.with_raw_response.create(model=model, input="one two three", extra_headers=SHOWN)
    usage = raw.parse().usage
    assert usage is not None
    expected = (usage.input_tokens, 4, 12, 5)
    assert counted(module_world, tenant, raw.headers["x-request-id"]) == expected


def test_a_response_as_a_stream(module_world: World, tenant: Tenant, model: str) -> None:
    raw = client(module_world, tenant).responses.with_raw_response.create(model=model, input="one two three", stream=True, extra_headers=SHOWN)
    events = list(raw.parse())
    assert events[-1].type == "response.completed"
    usage = events[-1].response.usage
    assert usage is not None
    assert [event.sequence_number for event in events] == list(range(len(events))), "no event was taken out"
    assert counted(module_world, tenant, raw.headers["x-request-id"]) == (usage.input_tokens, 4, usage.output_tokens, 5)


def test_a_response_with_a_cap_is_incomplete(module_world: World, tenant: Tenant, model: str) -> None:
    response = client(module_world, tenant).responses.create(model=model, input="one", max_output_tokens=3, extra_headers=SHOWN)
    assert (response.status, response.usage.output_tokens if response.usage else 0) == ("incomplete", 3)


def message(world: World, tenant: Tenant, model: str, **members: Any) -> httpx2.Response:
    body = {"model": model, "max_tokens": 50, "messages": CHAT, **members}
    return httpx2.post(f"{world.gateway}/v1/messages", json=body, headers={"x-api-key": tenant.api_key, **SHOWN}, timeout=30)


def test_messages(module_world: World, tenant: Tenant, model: str) -> None:
    answer = message(module_world, tenant, model)
    usage = answer.json()["usage"]
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert counted(module_world, tenant, answer.headers["x-request-id"]) == (prompt, 4, 12, 0)


def test_a_message_as_a_stream(module_world: World, tenant: Tenant, model: str) -> None:
    answer = message(module_world, tenant, model, stream=True)
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert (names[0], names[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert counted(module_world, tenant, answer.headers["x-request-id"])[2:] == (12, 0)


def test_several_choices(module_world: World, tenant: Tenant, model: str) -> None:
    options = simulate(tokens=6, pace_ms=1)
    raw = client(module_world, tenant).chat.completions.with_raw_response.create(model=model, messages=CHAT, n=2, extra_headers=options)
    assert len(raw.parse().choices) == 2
    assert counted(module_world, tenant, raw.headers["x-request-id"])[2] == 12
    stream = client(module_world, tenant).chat.completions.with_raw_response.create(
        model=model, messages=CHAT, n=2, stream=True, extra_headers=options
    )
    chunks = list(stream.parse())
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}
    assert sum(chunk.choices[0].finish_reason == "stop" for chunk in chunks) == 2
    assert all(chunk.usage is None for chunk in chunks)
    assert counted(module_world, tenant, stream.headers["x-request-id"])[2] == 12


def test_an_engine_that_reports_in_every_chunk_shows_it_to_nobody_who_did_not_ask(module_world: World, tenant: Tenant) -> None:
    model = module_world.publish(tenant, config={"continuousUsage": True})
    for asked in (False, True):
        options = {"stream_options": {"include_usage": True}} if asked else {}
        raw = client(module_world, tenant).chat.completions.with_raw_response.create(
            model=model, messages=CHAT, stream=True, extra_headers=simulate(tokens=8, pace_ms=1), **options
        )
        usages = [chunk.usage for chunk in raw.parse()]
        assert [usage is not None for usage in usages] == [False] * 9 + [True] * asked
        assert counted(module_world, tenant, raw.headers["x-request-id"])[2] == 8
