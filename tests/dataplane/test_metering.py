"""The real extproc behind a real Envoy: what the client gets, what the engine gets, what is recorded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h11
import httpx2
import pytest

from ias import headers
from ias.endpoints import Endpoint
from ias.spool_format import Closed
from ias.usage_event import Outcome, UsageSource
from standalone.engine_simulator.meters import read_journal
from tests.dataplane.conftest import StartDataplane
from tests.dataplane.metering import Metered, metered_dataplane
from tests.dataplane.stand_ins import Answer, Received, Send
from tests.support.engine_bytes import DONE, completion, delta, sse, usage_chunk
from tests.support.spools import records
from tests.support.waiting import until


@pytest.fixture
async def metered(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Metered]:
    async with metered_dataplane(start_dataplane, home) as running:
        yield running


def answer_stream(*events: bytes, cut: bool = False, pause_s: float = 0) -> Answer:
    """Send events one by one; `cut` closes the connection in place of an end."""

    async def answer(_: Received, send: Send) -> None:
        await send(h11.Response(status_code=200, headers=[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]))
        for event in events:
            await send(h11.Data(data=event))
            await asyncio.sleep(pause_s)
        if cut:
            raise ConnectionAbortedError
        await send(h11.EndOfMessage())

    return answer


def answer_body(body: bytes, *, status: int = 200, length: bool = True, content_type: str = "application/json") -> Answer:
    async def answer(_: Received, send: Send) -> None:
        framing = ("content-length", str(len(body))) if length else ("transfer-encoding", "chunked")
        await send(h11.Response(status_code=status, headers=[("content-type", content_type), framing]))
        await send(h11.Data(data=body))
        await send(h11.EndOfMessage())

    return answer


CHUNKS = [sse(delta("", role="assistant")), *(sse(delta(f"token {number}")) for number in range(20))]


async def test_a_client_that_did_not_ask_for_usage_does_not_see_it(metered: Metered) -> None:
    metered.engine.answer = answer_stream(*CHUNKS, sse(usage_chunk(prompt=7, completion=20)), DONE)
    response = await metered.post(stream=True)
    assert response.content == b"".join(CHUNKS) + DONE
    event = await metered.event()
    assert (event.outcome, event.input_tokens, event.output_tokens) == (Outcome.COMPLETE, 7, 20)
    assert event.time_to_first_token_ms is not None


async def test_a_client_that_asked_for_usage_gets_the_engines_bytes(metered: Metered) -> None:
    body = b"".join(CHUNKS) + sse(usage_chunk(prompt=7, completion=20)) + DONE
    metered.engine.answer = answer_stream(body[:300], body[300:301], body[301:])
    response = await metered.post(stream=True, stream_options={"include_usage": True})
    assert response.content == body
    assert (await metered.event()).usage_source is UsageSource.REPORTED


async def test_a_stream_that_came_with_a_length_loses_it_when_a_chunk_is_taken_out(metered: Metered) -> None:
    metered.engine.answer = answer_body(CHUNKS[1] + sse(usage_chunk()) + DONE, content_type="text/event-stream")
    response = await metered.post(stream=True)
    assert response.content == CHUNKS[1] + DONE
    assert "content-length" not in response.headers


async def test_the_engine_is_asked_for_usage_under_its_own_name_for_the_model(metered: Metered) -> None:
    metered.extauth.context = {"upstream_model": "org/model-7b"}
    metered.engine.answer = answer_stream(DONE)
    await metered.post(stream=True)
    expected = b'{"model":"org/model-7b","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    (received,) = metered.engine.received
    assert received.body_bytes == len(expected) == int(received.headers["content-length"])
    assert not {headers.CONTEXT, headers.MODEL, "accept-encoding"} & received.headers.keys()


@pytest.mark.parametrize("padding", [100, 9_000_000])
async def test_a_request_of_any_size_is_changed_and_arrives(metered: Metered, padding: int) -> None:
    metered.engine.answer = answer_stream(DONE)
    response = await metered.post(stream=True, padding="x" * padding)
    assert response.status_code == 200
    assert metered.engine.received[0].body_bytes > padding


@pytest.mark.parametrize("padding", [0, 600_000])
async def test_a_json_answer_keeps_its_content_length(metered: Metered, padding: int) -> None:
    body = completion(prompt=3, completion=2)[:-1] + b', "padding": "' + b"x" * padding + b'"}'
    metered.engine.answer = answer_body(body)
    response = await metered.post()
    assert response.content == body
    assert response.headers["content-length"] == str(len(body))
    assert ((await metered.event()).input_tokens, (await metered.event()).output_tokens) == (3, 2)


async def test_an_engine_does_not_say_what_length_an_answer_has_beside_its_content_length(metered: Metered) -> None:
    async def answer(_: Received, send: Send) -> None:
        named = [("content-type", "application/json"), ("transfer-encoding", "chunked"), (headers.LENGTH, "7")]
        await send(h11.Response(status_code=200, headers=named))
        await send(h11.Data(data=completion()))
        await send(h11.EndOfMessage())

    metered.engine.answer = answer
    response = await metered.post()
    assert response.content == completion()
    assert not {headers.LENGTH, "content-length"} & response.headers.keys()


@pytest.mark.parametrize("http2", [False, True])
async def test_an_answer_in_parts_arrives_in_parts_and_whole(metered: Metered, http2: bool) -> None:
    body = completion()
    halves = asyncio.Event()

    async def answer(_: Received, send: Send) -> None:
        await send(h11.Response(status_code=200, headers=[("content-type", "application/json"), ("content-length", str(len(body)))]))
        await send(h11.Data(data=body[:50]))
        await halves.wait()
        await send(h11.Data(data=body[50:]))
        await send(h11.EndOfMessage())

    metered.engine.answer = answer
    url = str(metered.client.base_url)
    async with (
        httpx2.AsyncClient(base_url=url, http1=not http2, http2=http2, trust_env=False, timeout=30) as client,
        client.stream("POST", **metered.asked()) as response,
    ):
        parts = response.aiter_raw()
        seen = await anext(parts)
        halves.set()
        async for part in parts:
            seen += part
    assert (seen, response.headers["content-length"]) == (body, str(len(body)))
    assert (await metered.event()).output_tokens == 3


async def test_a_json_answer_of_unknown_length_is_read_as_it_passes(metered: Metered) -> None:
    metered.engine.answer = answer_body(completion(), length=False)
    assert (await metered.post()).content == completion()
    assert (await metered.event()).output_tokens == 3


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("status", "outcome"), [(400, Outcome.COMPLETE), (500, Outcome.UPSTREAM_ERROR)])
async def test_the_engines_own_error_passes_and_is_recorded(metered: Metered, status: int, outcome: Outcome, stream: bool) -> None:
    metered.engine.answer = answer_body(b'{"error": {"message": "no"}}', status=status)
    response = await metered.post(stream=stream)
    assert (response.status_code, response.content) == (status, b'{"error": {"message": "no"}}')
    assert ((await metered.event()).outcome, (await metered.event()).http_status) == (outcome, status)


async def test_a_client_that_leaves_is_charged_for_what_passed(metered: Metered) -> None:
    metered.engine.answer = answer_stream(*CHUNKS * 20, pause_s=0.02)
    async with metered.client.stream("POST", **metered.asked(stream=True)) as response:
        seen = b""
        async for part in response.aiter_bytes():
            seen += part
            if seen.count(b"token") >= 3:
                break
    event = await metered.event()
    assert (event.outcome, event.usage_source, event.http_status) == (Outcome.CLIENT_ABORT, UsageSource.COUNTED, 200)
    assert 3 <= event.output_tokens <= 30


async def test_an_engine_that_resets_looks_like_a_client_that_left(metered: Metered) -> None:
    metered.engine.answer = answer_stream(*CHUNKS, cut=True, pause_s=0.01)
    with pytest.raises(httpx2.RemoteProtocolError):
        await metered.post(stream=True)
    event = await metered.event()
    assert (event.outcome, event.output_tokens) == (Outcome.CLIENT_ABORT, 20)


async def test_an_engine_that_resets_before_a_byte_passed_is_not_seen_either(metered: Metered) -> None:
    """Envoy answers the client with its own 503 and closes our stream without a word about it."""
    metered.engine.answer = answer_stream(*CHUNKS, cut=True)
    with contextlib.suppress(httpx2.RemoteProtocolError):
        assert (await metered.post(stream=True)).status_code == 503
    event = await metered.event()
    assert (event.outcome, event.http_status, event.input_tokens) == (Outcome.CLIENT_ABORT, 200, 0)


async def test_an_engine_that_drops_the_request_is_an_upstream_error(metered: Metered) -> None:
    async def drop(_: Received, __: Send) -> None:
        raise ConnectionAbortedError

    metered.engine.answer = drop
    response = await metered.post(stream=True)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")
    event = await metered.event()
    assert (event.outcome, event.http_status, event.output_tokens) == (Outcome.UPSTREAM_ERROR, 503, 0)


async def test_without_a_valid_context_nothing_reaches_the_engine(metered: Metered) -> None:
    metered.extauth.forge = True
    response = await metered.post()
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "service_unavailable"
    assert metered.engine.received == []
    assert records(metered.spool) == []


@pytest.fixture
async def simulated(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Metered]:
    async with metered_dataplane(start_dataplane, home, simulated=True) as running:
        yield running


TRAVELS = [
    "",
    "split=7",
    "early",
    "trailers",
    "per_chunk=4",
    "cached=2,reasoning=5",
    *(f"encoding={coding}" for coding in ("gzip", "br", "zstd", "deflate")),
]
ENDPOINTS: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "tell me all"}]},
    "completions": {"prompt": "all", "max_tokens": 30},
    "responses": {"input": "all"},
    "messages": {"messages": [{"role": "user", "content": "tell me all"}], "max_tokens": 30},
    "embeddings": {"input": ["one", "and another"]},
}


async def test_every_endpoint_however_its_answer_travels_is_recorded_as_the_engine_counts(simulated: Metered) -> None:
    simulated.extauth.context = {"continuous_usage": True}
    for path, body in ENDPOINTS.items():
        simulated.extauth.context["endpoint"] = Endpoint(path.replace("/", "_"))
        for stream in (True, False) if path != "embeddings" else (False,):
            for travels in TRAVELS:
                asked = {"stream": True} if stream else {}
                response = await simulated.post(url=f"/v1/{path}", simulate=f"tokens=20,pace_ms=0,{travels}", **asked, **body)
                assert response.status_code == 200, (path, travels, response.text)
    wanted = 9 * len(TRAVELS)
    await until(lambda: sum(isinstance(record, Closed) for record in records(simulated.spool)) == wanted)
    events = {record.event.request_id: record.event for record in records(simulated.spool) if isinstance(record, Closed)}
    entries = read_journal(simulated.journal)
    assert len(entries) == wanted
    for entry in entries:
        event = events[entry.request_id]
        assert (event.outcome, event.usage_source) == (Outcome.COMPLETE, UsageSource.REPORTED), entry
        assert (event.input_tokens, event.output_tokens) == (entry.prompt, entry.generated), entry
    assert {event.cached_input_tokens for event in events.values()} >= {0, 1}
    assert {event.reasoning_tokens for event in events.values()} >= {0, 5}
