"""The shadow profile with the real extproc: answers pass as the engine sends them, and are counted like any other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ias.endpoints import Endpoint
from ias.usage_event import Outcome, UsageSource
from tests.dataplane.conftest import StartDataplane
from tests.dataplane.metering import Metered, metered_dataplane
from tests.support.spools import records

MESSAGES: Any = [{"role": "user", "content": "tell me all"}]


@pytest.fixture
async def watched(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Metered]:
    async with metered_dataplane(start_dataplane, home, simulated=True, metering="shadow") as running:
        # What needs inline is not done: no cap, no other name for the model, no end.
        await running.admit(20, prompt_tokens=10, top_up_tokens=5, output_cap=3, upstream_model="another", continuous_usage=True)
        yield running


async def test_a_stream_passes_as_it_is_and_is_counted_and_settled(watched: Metered) -> None:
    response = await watched.post(simulate="tokens=40,pace_ms=1,usage=forced", stream=True, messages=MESSAGES)
    assert response.text.count('"usage"') == 1, "the engine was started so, and nothing is taken out"
    event, entry = await watched.event(), await watched.engine_entry()
    assert (event.outcome, event.usage_source, entry.end, entry.generated) == (Outcome.COMPLETE, UsageSource.REPORTED, "stop", 40)
    assert (event.input_tokens, event.output_tokens) == (entry.prompt, 40)
    assert await watched.spent() == (entry.prompt + 40, 0)


async def test_a_coded_stream_is_counted(watched: Metered) -> None:
    await watched.post(simulate="tokens=40,pace_ms=0,usage=forced,encoding=zstd", stream=True, messages=MESSAGES)
    assert ((await watched.event()).output_tokens, (await watched.event()).usage_source) == (40, UsageSource.REPORTED)


async def test_a_whole_answer_is_counted(watched: Metered) -> None:
    watched.extauth.context |= {"endpoint": Endpoint.MESSAGES}
    response = await watched.post(url="/v1/messages", simulate="tokens=30,pace_ms=0", messages=MESSAGES, max_tokens=100)
    assert int(response.headers["content-length"]) == len(response.content)
    assert ((await watched.event()).output_tokens, (await watched.event()).outcome) == (30, Outcome.COMPLETE)


async def test_a_client_that_leaves_is_exact_where_the_engine_reports_as_it_goes(watched: Metered) -> None:
    asked = watched.asked(simulate="tokens=100000,pace_ms=5,usage=continuous", stream=True, messages=MESSAGES)
    async with watched.client.stream("POST", **asked) as response:
        seen = b""
        async for part in response.aiter_bytes():
            seen += part
            if seen.count(b"data: ") > 5:
                break
    event, entry = await watched.event(), await watched.engine_entry()
    assert (event.outcome, event.usage_source, entry.end) == (Outcome.CLIENT_ABORT, UsageSource.REPORTED, "abort")
    assert event.input_tokens == entry.prompt
    assert 0 < event.output_tokens <= entry.generated


async def test_an_answer_without_a_context_passes_uncounted(watched: Metered) -> None:
    watched.extauth.forge = True
    assert (await watched.post(simulate="tokens=3,pace_ms=0", messages=MESSAGES)).status_code == 200
    assert records(watched.spool) == []
