"""A stream whose hold is used up and for which no more is granted ends as answers end, for every client, and the engine stops."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from ias.endpoints import Endpoint
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from tests.dataplane.conftest import StartDataplane
from tests.dataplane.metering import MODEL, Metered, metered_dataplane
from tests.dataplane.stand_ins import GOOD_KEY
from tests.support.holds import BUDGET

ENDLESS = "tokens=100000,pace_ms=2"
PROMPT, STEP = 10, 100
OTHERS = BUDGET - 3 * STEP
"""Held by other requests of the org."""
MESSAGES: Any = [{"role": "user", "content": "tell me all"}]


@pytest.fixture
async def metered(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Metered]:
    """One admitted request that may grow in steps to the end of its org's budget."""
    async with metered_dataplane(start_dataplane, home, simulated=True) as running, asyncio.timeout(60):
        await running.store.admitted(99, held=OTHERS)
        await running.admit(PROMPT + STEP, prompt_tokens=PROMPT, top_up_tokens=STEP)
        yield running


async def check_end(metered: Metered) -> RequestRecorded:
    """The engine has stopped, the event and the budget tell the same, and the stream got what fits and what was in the pipeline."""
    entry, event = await metered.engine_entry(), await metered.event()
    assert entry.end == "abort"
    assert (event.outcome, event.http_status) == (Outcome.COMPLETE, 200)
    assert event.held_tokens == PROMPT + 2 * STEP, "as much as fits into the budget"
    total = event.input_tokens + event.output_tokens
    assert event.held_tokens < total
    assert await metered.spent() == (total, OTHERS)
    return event


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
async def test_the_client_sees_length_done_and_the_end(metered: Metered, http2: bool) -> None:
    url = str(metered.client.base_url)
    async with httpx2.AsyncClient(base_url=url, http1=not http2, http2=http2, trust_env=False, timeout=30) as client:
        response = await client.post(**metered.asked(simulate=ENDLESS, stream=True, messages=MESSAGES))
    *chunks, last, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert json.loads(last.removeprefix("data: "))["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]
    passed = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    assert {choice["finish_reason"] for chunk in passed for choice in chunk["choices"]} == {None}
    event = await check_end(metered)
    assert event.usage_source is UsageSource.COUNTED
    assert event.output_tokens == len(chunks) - 1, "all but the chunk with the role"


async def test_with_usage_in_every_chunk_the_count_is_the_engines_and_the_client_sees_none_of_it(metered: Metered) -> None:
    metered.extauth.context["continuous_usage"] = True
    response = await metered.post(simulate=ENDLESS, stream=True, messages=MESSAGES)
    assert "usage" not in response.text
    event = await check_end(metered)
    assert event.usage_source is UsageSource.REPORTED
    entry = await metered.engine_entry()
    assert event.input_tokens == entry.prompt
    assert event.output_tokens <= entry.generated


async def test_several_choices_are_all_ended_and_usage_comes_to_who_asked(metered: Metered) -> None:
    metered.extauth.context["choices"] = 3
    response = await metered.post(simulate=ENDLESS, stream=True, messages=MESSAGES, n=3, stream_options={"include_usage": True})
    *_, first, second, third, usage, done, _ = response.text.split("\n\n")
    ends = [json.loads(chunk.removeprefix("data: "))["choices"][0] for chunk in (first, second, third)]
    assert [(end["index"], end["finish_reason"]) for end in ends] == [(0, "length"), (1, "length"), (2, "length")]
    event = await check_end(metered)
    told = json.loads(usage.removeprefix("data: "))
    assert (told["choices"], told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == ([], event.input_tokens, event.output_tokens)
    assert done == "data: [DONE]"


@pytest.mark.parametrize("endpoint", ["completions", "responses", "messages"])
async def test_other_endpoints_end_in_their_own_shape(metered: Metered, endpoint: str) -> None:
    metered.extauth.context["endpoint"] = Endpoint(endpoint)
    asked = {
        "completions": {"prompt": "all", "max_tokens": 100_000},
        "responses": {"input": "all"},
        "messages": {"messages": MESSAGES, "max_tokens": 100_000},
    }
    response = await metered.post(url=f"/v1/{endpoint}", simulate=ENDLESS, stream=True, **asked[endpoint])
    ends = {
        "completions": ('"finish_reason":"length"', "data: [DONE]\n\n"),
        "responses": ("event: response.incomplete\n", "\n\n"),
        "messages": ('"stop_reason":"max_tokens"', '{"type":"message_stop"}\n\n'),
    }
    told, end = ends[endpoint]
    assert response.text.count(told) == 1
    assert response.text.endswith(end)
    await check_end(metered)


def openai_arguments(metered: Metered) -> dict[str, Any]:
    return {"base_url": f"{metered.client.base_url}/v1".replace("//v1", "/v1"), "api_key": GOOD_KEY.removeprefix("Bearer "), "max_retries": 0}


ASKED: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "stream": True, "extra_headers": {"x-engine-simulate": ENDLESS}}


async def test_the_openai_client_ends_without_an_error_or_a_wait(metered: Metered) -> None:
    def talk() -> list[str | None]:
        with openai.OpenAI(**openai_arguments(metered)) as client:
            return [choice.finish_reason for chunk in client.chat.completions.create(**ASKED) for choice in chunk.choices]

    reasons = await asyncio.to_thread(talk)
    assert (reasons[-1], set(reasons[:-1])) == ("length", {None})
    await check_end(metered)


async def test_the_async_openai_client_too(metered: Metered) -> None:
    reasons: list[str | None] = []
    async with openai.AsyncOpenAI(**openai_arguments(metered)) as client:
        async for chunk in await client.chat.completions.create(**ASKED):
            reasons += [choice.finish_reason for choice in chunk.choices]
    assert (reasons[-1], set(reasons[:-1])) == ("length", {None})
    await check_end(metered)


async def test_the_openai_client_reads_an_ended_response(metered: Metered) -> None:
    metered.extauth.context["endpoint"] = Endpoint.RESPONSES
    async with openai.AsyncOpenAI(**openai_arguments(metered)) as client:
        stream = await client.responses.create(model=MODEL, input="all", stream=True, extra_headers={"x-engine-simulate": ENDLESS})
        events = [event async for event in stream]
    last = events[-1]
    assert isinstance(last, openai.types.responses.ResponseIncompleteEvent)
    assert last.response.status == "incomplete"
    assert last.sequence_number == len(events) - 1
    await check_end(metered)


@pytest.mark.parametrize("simulate", ["tokens=30,pace_ms=1", "tokens=150,pace_ms=1,split=7", "tokens=150,pace_ms=0"])
async def test_a_stream_that_ends_by_itself_arrives_whole(metered: Metered, simulate: str) -> None:
    response = await metered.post(simulate=simulate, stream=True, messages=MESSAGES)
    assert response.text.endswith('"finish_reason":"stop","stop_reason":null}]}\n\ndata: [DONE]\n\n')
    entry, event = await metered.engine_entry(), await metered.event()
    assert (entry.end, event.output_tokens, event.usage_source) == ("stop", entry.generated, UsageSource.REPORTED)
    assert await metered.spent() == (event.input_tokens + event.output_tokens, OTHERS)


async def test_a_client_that_leaves_such_a_stream_stops_the_engine(metered: Metered) -> None:
    async with metered.client.stream("POST", **metered.asked(simulate=ENDLESS, stream=True, messages=MESSAGES)) as response:
        seen = b""
        async for part in response.aiter_bytes():
            seen += part
            if seen.count(b"data: ") > 3:
                break
    assert (await metered.engine_entry()).end == "abort"
    event = await metered.event()
    assert event.outcome is Outcome.CLIENT_ABORT
    assert event.output_tokens > 0
    assert (await metered.spent())[1] == OTHERS
