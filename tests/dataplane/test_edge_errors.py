"""Every error that a client can meet in the data plane has OpenAI's shape and our codes, whichever layer made it."""

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from ias import errors
from ias.errors import ApiError
from protos import base_pb2, ext_proc_pb2
from tests.dataplane.conftest import CHAT, MODEL, Dataplane, StartDataplane
from tests.dataplane.raw import RawAnswer, exchange
from tests.dataplane.stand_ins import GOOD_KEY, answer_garbage, answer_never, answer_status

MIB = 1024 * 1024


def is_error(answer: httpx2.Response | RawAnswer, error: ApiError, path: str = CHAT) -> None:
    """Status, body, content type, headers and a request id."""
    status = answer.status if isinstance(answer, RawAnswer) else answer.status_code
    assert (status, answer.json()) == (error.status, json.loads(error.body(path)))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert dict(error.headers).items() <= dict(answer.headers).items()


# --- before authorization ---


async def test_no_credential_is_401_before_a_byte_of_the_body_is_read(dataplane: Dataplane) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {10 * MIB}\r\n\r\n"
    is_error(await exchange(dataplane.envoy.port, head.encode()), errors.invalid_api_key())
    assert not dataplane.extauth.requests


async def test_no_credential_with_ten_mebibytes_is_still_read_as_401(dataplane: Dataplane) -> None:
    # In a thread: asyncio drops an answer that came while it was still sending to a connection that is then reset.
    with httpx2.Client(base_url=dataplane.envoy.url, trust_env=False) as client:
        for _ in range(5):
            is_error(await asyncio.to_thread(client.post, CHAT, content=b"x" * 10 * MIB), errors.invalid_api_key())
    assert not dataplane.extauth.requests


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_any_credential_header_reaches_authorization(dataplane: Dataplane, header: str) -> None:
    await dataplane.client.post(CHAT, headers={header: "something"})
    assert dataplane.extauth.requests[0].headers[header] == "something"


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1", "/v3/models", "/models", "/healthz"])
async def test_other_paths_are_unknown_without_a_question_to_anyone(dataplane: Dataplane, path: str) -> None:
    is_error(await dataplane.client.get(path + "?secret=1", headers={"authorization": GOOD_KEY}), errors.unknown_url("GET", path))
    assert not dataplane.extauth.requests
    assert not dataplane.extproc.requests


async def test_what_a_client_puts_into_a_path_stays_data_in_the_error(dataplane: Dataplane) -> None:
    answer = await exchange(dataplane.envoy.port, b'GET /a"},{"b HTTP/1.1\r\nhost: gateway\r\n\r\n')
    assert answer.json()["error"]["message"] == "Unknown request URL: GET /a%22%7D,%7B%22b."
    long = await dataplane.client.get("/" + "x" * 5000)
    assert len(long.content) < 600


@pytest.mark.parametrize(
    ("request_head", "error"),
    [
        pytest.param("GET /v1/a%2Fb HTTP/1.1\r\nhost: g\r\n", errors.malformed_request(), id="escaped-slash"),
        pytest.param("GET /v1/models HTTP/1.1\r\nhost: g\r\nx_y: 1\r\n", errors.malformed_request(), id="underscore-in-header-name"),
        pytest.param("GET /v1/models HTTP/1.1\r\n", errors.malformed_request(), id="no-host"),
        pytest.param("GET /v1/models HTTP/1.0\r\nhost: g\r\n", errors.http_version_too_old(), id="http-1.0"),
        pytest.param("GET /v1/models HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n", errors.upgrade_refused(), id="upgrade"),
        pytest.param("CONNECT g:443 HTTP/1.1\r\nhost: g:443\r\n", errors.upgrade_refused(), id="connect"),
        pytest.param("GET /v1/models HTTP/1.1\r\nhost: g\r\nx-large: " + "x" * 70_000 + "\r\n", errors.headers_too_large(), id="large-header"),
        pytest.param("GET /v1/models HTTP/1.1\r\nhost: g\r\n" + "x-many: 1\r\n" * 101, errors.headers_too_large(), id="many-headers"),
        pytest.param("POST /v1/x HTTP/1.1\r\nhost: g\r\ntransfer-encoding: gzip\r\n", errors.malformed_request(), id="unknown-transfer-encoding"),
    ],
)
async def test_http_that_the_edge_refuses(dataplane: Dataplane, request_head: str, error: ApiError) -> None:
    is_error(await exchange(dataplane.envoy.port, (request_head + "\r\n").encode()), error)
    assert not dataplane.extauth.requests


async def test_a_request_that_never_arrives_completely_is_408(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(request_timeout_ms=500) as dataplane:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: {GOOD_KEY}\r\ncontent-length: 100\r\n\r\nhalf"
        is_error(await exchange(dataplane.envoy.port, head.encode()), errors.request_timeout())


async def test_headers_that_never_end_are_408(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(request_headers_timeout_ms=500) as dataplane:
        answer = await exchange(dataplane.envoy.port, b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n")
        assert answer.status == 408


async def test_a_gateway_short_of_memory_is_503(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(max_heap_bytes=1024) as dataplane, asyncio.timeout(10):
        while (answer := await dataplane.chat()).status_code == 200:  # memory is looked at every 250 ms
            pass
        is_error(answer, errors.service_unavailable("The gateway"))


async def test_http2_clients_get_the_same_errors(dataplane: Dataplane) -> None:
    async with httpx2.AsyncClient(base_url=dataplane.envoy.url, http1=False, http2=True, trust_env=False, timeout=20) as client:
        is_error(await client.get("/v1/models"), errors.invalid_api_key())
        is_error(await client.get("/metrics"), errors.unknown_url("GET", "/metrics"))
        is_error(await client.get("/v1/a%2Fb"), errors.malformed_request())
        good = {"authorization": GOOD_KEY}
        is_error(await client.post(CHAT, json={"model": "gone"}, headers=good), errors.model_not_found("gone"))
        assert (await client.post(CHAT, json={"model": MODEL}, headers=good)).status_code == 200


# --- the Messages API ---


MESSAGES = "/v1/messages"


@pytest.mark.parametrize("path", [MESSAGES, MESSAGES + "?beta=true", MESSAGES + "/count_tokens"])
async def test_errors_of_the_messages_api_have_anthropics_shape(dataplane: Dataplane, path: str) -> None:
    is_error(await dataplane.client.post(path, json={}), errors.invalid_api_key(), path)
    good = {"x-api-key": "any", "authorization": GOOD_KEY}
    is_error(await dataplane.client.post(path, json={"model": "gone"}, headers=good), errors.model_not_found("gone"), path)
    dataplane.engine.answer = answer_garbage
    is_error(await dataplane.client.post(path, json={"model": MODEL}, headers=good), errors.service_unavailable("The model"), path)


async def test_the_messages_api_without_authorization_or_processing_is_503(dataplane: Dataplane) -> None:
    good = {"authorization": GOOD_KEY}
    await dataplane.servers["extproc"].drain(0)
    is_error(await dataplane.client.post(MESSAGES, json={"model": MODEL}, headers=good), errors.service_unavailable("The metering service"), MESSAGES)
    await dataplane.servers["extauth"].drain(0)
    answer = await dataplane.client.post(MESSAGES, json={"model": MODEL}, headers=good)
    is_error(answer, errors.service_unavailable("The authorization service"), MESSAGES)


# --- authorization ---


@pytest.mark.parametrize("path", ["/v1/responses", MESSAGES])
async def test_every_operation_takes_bodies_up_to_the_limit_and_no_larger_ones(dataplane: Dataplane, path: str) -> None:
    good = {"authorization": GOOD_KEY}
    largest = json.dumps({"model": MODEL, "padding": ""}).encode()
    largest = largest.replace(b'""', b'"' + b"x" * (10 * MIB - len(largest)) + b'"')
    assert (await dataplane.client.post(path, content=largest, headers=good)).json()["body_bytes"] == 10 * MIB
    is_error(await dataplane.client.post(path, content=largest + b" ", headers=good), errors.request_too_large(10 * MIB), path)


async def test_bodies_above_the_limit_are_413_and_nobody_sees_them(dataplane: Dataplane) -> None:
    is_error(await dataplane.chat(padding=10 * MIB), errors.request_too_large(10 * MIB))

    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * MIB

    is_error(await dataplane.client.post(CHAT, content=chunks(), headers={"authorization": GOOD_KEY}), errors.request_too_large(10 * MIB))
    assert not dataplane.extauth.requests


@pytest.mark.parametrize(
    "error",
    [
        errors.invalid_api_key(),
        errors.model_not_allowed("m"),
        errors.model_not_found("m"),
        errors.invalid_request("model is missing", "model"),
        errors.rate_limited("requests", "requests per minute", 1500),
        errors.service_unavailable("The key store"),
    ],
    ids=lambda error: str(error.status),
)
async def test_denials_of_authorization_pass_as_they_are(dataplane: Dataplane, error: ApiError) -> None:
    dataplane.extauth.deny = error
    answer = await dataplane.chat()
    is_error(answer, error)
    assert answer.content == error.openai_body()
    assert not dataplane.extproc.requests


async def test_authorization_that_is_down_is_503(dataplane: Dataplane) -> None:
    await dataplane.servers["extauth"].drain(0)
    is_error(await dataplane.chat(), errors.service_unavailable("The authorization service"))
    assert not dataplane.engine.received


async def test_authorization_that_does_not_answer_is_503(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(authorization_timeout_ms=200) as dataplane:
        dataplane.extauth.answers = False
        is_error(await dataplane.chat(), errors.service_unavailable("The authorization service"))


# --- after authorization ---


async def test_a_model_without_a_route_is_404_and_still_recorded(dataplane: Dataplane) -> None:
    answer = await dataplane.chat("org/not:there")
    is_error(answer, errors.model_not_found("org/not:there"))
    assert [headers["x-request-id"] for headers in dataplane.extproc.requests] == [answer.headers["x-request-id"]]
    assert not dataplane.engine.received


async def test_processor_that_is_down_is_503(dataplane: Dataplane) -> None:
    await dataplane.servers["extproc"].drain(0)
    is_error(await dataplane.chat(), errors.service_unavailable("The metering service"))
    assert not dataplane.engine.received


async def test_processor_that_does_not_answer_is_503(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(processing_timeout_ms=200) as dataplane:
        dataplane.extproc.answers = False
        is_error(await dataplane.chat(), errors.service_unavailable("The metering service"))
        assert not dataplane.engine.received


async def test_an_answer_of_the_processor_passes_as_it_is(dataplane: Dataplane) -> None:
    error = errors.service_unavailable("Metering")
    mutation = ext_proc_pb2.HeaderMutation(
        set_headers=[
            base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, raw_value=value.encode()))
            for name, value in (("content-type", "application/json"), *error.headers)
        ]
    )
    dataplane.extproc.refuse = ext_proc_pb2.ImmediateResponse(
        status=base_pb2.HttpStatus(code=503), headers=mutation, body=error.openai_body(), details="ias_service_unavailable"
    )
    answer = await dataplane.chat()
    is_error(answer, error)
    assert answer.content == error.openai_body()


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_errors_of_an_engine_pass_as_they_are(dataplane: Dataplane, status: int) -> None:
    dataplane.engine.answer = answer_status(status, b"the engine's own")
    answer = await dataplane.chat()
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (status, b"the engine's own", "text/plain")


async def test_an_engine_that_is_down_is_503(dataplane: Dataplane) -> None:
    await dataplane.gateway.apply(GatewayState((GatewayBackend("engine", "http://127.0.0.1:1"),), (GatewayRoute.to_one("dead", "engine"),)))
    is_error(await dataplane.chat("dead"), errors.service_unavailable("The model"))


async def test_an_engine_that_stays_silent_is_504(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(request_timeout_ms=300, stream_idle_timeout_ms=600) as dataplane:
        dataplane.engine.answer = answer_never
        is_error(await dataplane.chat(), errors.upstream_timeout())


async def test_a_request_that_lives_too_long_without_an_answer_is_504(start_dataplane: StartDataplane) -> None:
    async with start_dataplane(max_stream_duration_ms=500) as dataplane:
        dataplane.engine.answer = answer_never
        is_error(await dataplane.chat(), errors.upstream_timeout())


async def test_an_engine_that_does_not_speak_http_is_503(dataplane: Dataplane) -> None:
    dataplane.engine.answer = answer_garbage
    is_error(await dataplane.chat(), errors.service_unavailable("The model"))


async def test_the_official_client_raises_its_own_exceptions(dataplane: Dataplane) -> None:
    async with openai.AsyncOpenAI(base_url=dataplane.envoy.url + "/v1", api_key="good", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as not_found:
            await client.chat.completions.create(model="gone", messages=[{"role": "user", "content": "hi"}])
        assert not_found.value.code == "model_not_found"
        with pytest.raises(openai.APIStatusError) as too_large:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * 11 * MIB}])
        assert (too_large.value.status_code, too_large.value.code) == (413, "request_too_large")
        dataplane.engine.answer = answer_garbage
        with pytest.raises(openai.InternalServerError) as unavailable:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        assert unavailable.value.code == "service_unavailable"


@pytest.mark.parametrize("size", [0, 1, 65_536, 512 * 1024, MIB - 1, MIB, MIB + 1, 5 * MIB, 10 * MIB - 200])
async def test_nothing_hangs_at_any_body_size_up_to_the_limit(dataplane: Dataplane, size: int) -> None:
    async with asyncio.timeout(20):
        answer = await dataplane.chat(padding=size)
    assert answer.status_code == 200
    assert dataplane.extproc.bodies == [answer.json()["body_bytes"]] == [len(answer.request.content)]
