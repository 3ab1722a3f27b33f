"""The real extproc behind a real Envoy: what the client gets, what the engine gets, what is recorded."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import httpx2
import pytest

from controlplane.gateway.bootstrap import BootstrapParams
from controlplane.gateway.file_xds import FileXdsGateway
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from extproc.claims import ClaimQueue
from extproc.grpc_service import ProcessService
from extproc.machine import Rules
from extproc.spool_files import SpoolFiles
from ias import headers
from ias.context import sign
from ias.spool_format import Closed, Opened
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from protos import auth_pb2
from ratelimit.store_memory import MemoryAdmissionStore
from tests.dataplane.stand_ins import GOOD_KEY, Answer, Engine, Extauth, Received, Send, serve
from tests.support.engine_bytes import DONE, completion, delta, sse, usage_chunk
from tests.support.envoy import run_envoy
from tests.support.ext_proc import KEYS, some_context
from tests.support.spools import records
from tests.support.waiting import until

MODEL = "chat"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class SigningExtauth(Extauth):
    """Signs a real context for each request it passes."""

    def __init__(self) -> None:
        super().__init__()
        self.context: dict[str, Any] = {}
        self.forge = False

    def _decide(self, request: auth_pb2.AttributeContext.HttpRequest) -> auth_pb2.CheckResponse:
        answer = super()._decide(request)
        body = json.loads(request.raw_body)
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        context = some_context(
            len(self.requests),
            request_id=request.headers["x-request-id"],
            signed_at_ms=now_ms(),
            stream=body.get("stream", False),
            add_usage=not asked,
            **self.context,
        )
        for option in answer.ok_response.headers:
            if option.header.key == headers.CONTEXT and not self.forge:
                option.header.value = sign(context, KEYS)
        return answer


@dataclass
class Metered:
    """The data plane with the real extproc in it."""

    client: httpx2.AsyncClient
    extauth: SigningExtauth
    engine: Engine
    spool: Path

    def asked(self, **members: Any) -> dict[str, Any]:
        return {"url": "/v1/chat/completions", "json": {"model": MODEL, "messages": [], **members}, "headers": {"authorization": GOOD_KEY}}

    async def post(self, **members: Any) -> httpx2.Response:
        return await self.client.post(**self.asked(**members))

    async def event(self) -> RequestRecorded:
        """The one event of the one request."""
        await until(lambda: len(records(self.spool)) >= 2)
        opened, closed = records(self.spool)
        assert isinstance(opened, Opened)
        assert isinstance(closed, Closed)
        assert closed.event.event_id == opened.context.reservation_id
        return closed.event


@pytest.fixture
async def metered() -> AsyncIterator[Metered]:
    home = Path(tempfile.mkdtemp(prefix="ias-dp-"))  # short: the path of a Unix socket has at most 107 bytes
    extauth, engine = SigningExtauth(), Engine()
    spool = SpoolFiles(home / "spool", now_ms)
    service = ProcessService(Rules(KEYS), spool, ClaimQueue(MemoryAdmissionStore(now_ms), spool), now_ms)
    sockets = {"extauth": f"unix:{home}/extauth.sock", "extproc": f"unix:{home}/extproc.sock"}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve(sockets["extauth"], extauth.method()))
        await stack.enter_async_context(serve(sockets["extproc"], service.method()))
        await stack.enter_async_context(engine.serve())
        params = BootstrapParams(xds_directory=home / "xds", extauth=(sockets["extauth"],), extproc=(sockets["extproc"],))
        envoy = await stack.enter_async_context(run_envoy(home, params))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=envoy.url, timeout=20, trust_env=False))
        gateway = FileXdsGateway(home / "xds", envoy.admin_url, envoy_log=envoy.log)
        await gateway.apply(GatewayState((GatewayBackend("engine", engine.url),), (GatewayRoute(MODEL, "engine"),)))
        yield Metered(client, extauth, engine, home / "spool")
    spool.release()
    shutil.rmtree(home)


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


async def test_a_json_answer_of_unknown_length_is_read_as_it_passes(metered: Metered) -> None:
    metered.engine.answer = answer_body(completion(), length=False)
    assert (await metered.post()).content == completion()
    assert (await metered.event()).output_tokens == 3


@pytest.mark.parametrize(("status", "outcome"), [(400, Outcome.COMPLETE), (500, Outcome.UPSTREAM_ERROR)])
async def test_the_engines_own_error_passes_and_is_recorded(metered: Metered, status: int, outcome: Outcome) -> None:
    metered.engine.answer = answer_body(b'{"error": {"message": "no"}}', status=status)
    response = await metered.post(stream=True)
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
