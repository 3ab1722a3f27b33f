"""Models without tokens through the real data plane: paths, shapes of errors, limits, events, and who reaches what."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ias.apikeys import new_key
from ias.errors import upstream_unauthorized
from ias.gateway_views import ModelType, Publication, ScopeLimits
from ias.ids import NOBODY
from ias.telemetry import REGISTRY
from ias.usage_event import Outcome, UsageSource
from tests.dataplane.authorized import Authorized, authorized_dataplane
from tests.dataplane.conftest import StartDataplane
from tests.dataplane.raw import exchange
from tests.dataplane.stand_ins import answer_status

KEY, FOREIGN_KEY = new_key(), new_key()
OURS = {"x-api-key": KEY.text}
FOREIGN = {"authorization": f"Bearer {FOREIGN_KEY.text}"}
BODY = {"instances": [{"feature1": 1.0}]}
MIB = 1024 * 1024


def publication(model: str, **changes: Any) -> Publication:
    fields: dict[str, Any] = {
        "publication_id": f"pub-{model}",
        "model": model,
        "upstream_model": model,
        "allowed_org_ids": ("ours",),
        "owner_org_id": "ours",
        "created_at": datetime(2026, 11, 20, tzinfo=UTC),
        "model_type": ModelType.TRADITIONAL,
    }
    return Publication(**(fields | changes))


IRIS = publication("iris", upstream_model="iris-v7", external_path="/acme/iris")
LLAMA = publication("llama", model_type=ModelType.OPENAI, upstream_model="meta/llama", external_path="/v1/models/llama")


@pytest.fixture
async def plane(start_dataplane: StartDataplane, home: Path) -> AsyncIterator[Authorized]:
    async with authorized_dataplane(start_dataplane, home) as running:
        running.extauth.know(KEY, "ours")
        running.extauth.know(FOREIGN_KEY, "theirs")
        yield running


def is_kserve_error(answer: httpx2.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "engine", "endpoint"),
    [
        ("POST", "/models/iris/predict", "/v1/models/iris-v7:predict", "kserve_v1_predict"),
        ("POST", "/models/iris/infer", "/v2/models/iris-v7/infer", "kserve_v2_infer"),
        ("POST", "/acme/iris/predict", "/v1/models/iris-v7:predict", "kserve_v1_predict"),
        ("POST", "/v1/models/iris:predict", "/v1/models/iris-v7:predict", "kserve_v1_predict"),
        ("POST", "/v1/models/iris:explain", "/v1/models/iris-v7:explain", "kserve_v1_explain"),
        ("GET", "/v1/models/iris", "/v1/models/iris-v7", "kserve_v1_status"),
        ("POST", "/v2/models/iris/infer?x=1", "/v2/models/iris-v7/infer?x=1", "kserve_v2_infer"),
        ("POST", "/v2/models/iris/versions/2/infer", "/v2/models/iris-v7/versions/2/infer", "kserve_v2_infer"),
        ("GET", "/v2/models/iris", "/v2/models/iris-v7", "kserve_v2_metadata"),
        ("GET", "/v2/models/iris/ready", "/v2/models/iris-v7/ready", "kserve_v2_ready"),
        ("POST", "/models/.//iris/x/../predict", "/v1/models/iris-v7:predict", "kserve_v1_predict"),
        ("POST", "/models/%69ris/predict", "/v1/models/iris-v7:predict", "kserve_v1_predict"),
    ],
)
async def test_a_request_reaches_its_engine_by_the_engines_path_and_is_one_event(
    plane: Authorized, method: str, path: str, engine: str, endpoint: str
) -> None:
    await plane.publish(IRIS, LLAMA)
    body = json.dumps(BODY).encode() if method == "POST" else b""
    answer = await plane.dataplane.client.request(method, path, content=body, headers={**OURS, "x-request-tags": "team=a"})
    assert (answer.status_code, answer.json()) == (200, {"target": engine, "body_bytes": len(body)})
    (received,) = plane.dataplane.engine.received
    assert not [name for name in received.headers if name.startswith(("x-ias", "x-api-key", "x-request-tags", "authorization"))]
    (event,) = await plane.events(1)
    assert (event.endpoint, event.outcome, event.http_status, event.stream) == (endpoint, Outcome.COMPLETE, 200, False)
    assert (event.model, event.upstream_model, event.org_id, event.key_id) == ("iris", "iris-v7", "ours", "key-ours")
    assert (event.input_tokens, event.output_tokens, event.held_tokens, event.usage_source) == (0, 0, 0, UsageSource.COUNTED)
    assert event.request_id == answer.headers["x-request-id"]
    assert event.tags == {"team": "a"}


@pytest.mark.parametrize("name", ["a.b", "a:b", "v1:predict", "A_b-c.9", "infer"])
async def test_names_with_dots_and_colons(plane: Authorized, name: str) -> None:
    await plane.publish(publication(name))
    for path in (f"/models/{name}/predict", f"/v1/models/{name}:predict"):
        answer = await plane.dataplane.client.post(path, json=BODY, headers=OURS)
        assert answer.json()["target"] == f"/v1/models/{name}:predict"


async def test_binary_tensors_pass_untouched(plane: Authorized) -> None:
    await plane.publish(IRIS)
    body = b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}' + b"\x00\xff\x80?\n\r\x00@"
    headers = {**OURS, "content-type": "application/octet-stream", "inference-header-content-length": str(len(body) - 8)}
    answer = await plane.dataplane.client.post("/v2/models/iris/infer", content=body, headers=headers)
    assert answer.json()["body_bytes"] == len(body)
    received = plane.dataplane.engine.received[0].headers
    assert (received["inference-header-content-length"], received["content-type"]) == (str(len(body) - 8), "application/octet-stream")


async def test_every_layer_answers_as_kserve_does(plane: Authorized) -> None:
    await plane.publish(IRIS, LLAMA)
    client = plane.dataplane.client
    for path in ("/models/iris/predict", "/acme/iris/predict", "/v1/models/iris:predict", "/v2/models/iris/infer"):
        is_kserve_error(await client.post(path, json=BODY), 401, "No valid API key")  # the route
        bad = await client.post(path, json=BODY, headers={"x-api-key": "bad"})  # extauth
        is_kserve_error(bad, 401, "No valid API key")
        assert bad.headers["www-authenticate"]
        is_kserve_error(await client.post(path, content=b"x" * (10 * MIB + 1), headers=OURS), 413, "10485760 bytes")  # Envoy
        is_kserve_error(await client.post(path, json=BODY, headers={**OURS, "content-encoding": "gzip"}), 415, "plain JSON")
    is_kserve_error(await client.post("/models/none/predict", json=BODY, headers=OURS), 404, "'none' does not exist")
    is_kserve_error(await client.post("/v2/models/iris/load", json=BODY, headers=OURS), 404, "Unknown request URL")
    is_kserve_error(await client.get("/v2/nothing", headers=OURS), 404, "Unknown request URL")
    is_kserve_error(await client.post("/v2/models/llama/infer", json=BODY, headers=OURS), 400, "POST /v1/chat/completions")
    assert not plane.dataplane.engine.received


async def test_without_a_key_nothing_of_the_body_is_read(plane: Authorized) -> None:
    await plane.publish(IRIS)
    for path in ("/models/iris/predict", "/acme/iris/predict", "/v2/models/iris/infer"):
        head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {10 * MIB}\r\n\r\n"
        assert (await exchange(plane.dataplane.envoy.port, head.encode())).status == 401


async def test_an_engine_that_is_away_is_a_kserve_error_and_one_event(plane: Authorized) -> None:
    await plane.publish(IRIS)
    plane.dataplane.engine.url = "http://127.0.0.1:1"
    await plane.publish(IRIS)
    is_kserve_error(await plane.dataplane.client.post("/acme/iris/predict", json=BODY, headers=OURS), 503, "The model is unavailable")
    (event,) = await plane.events(1)
    assert (event.outcome, event.http_status, event.output_tokens) == (Outcome.UPSTREAM_ERROR, 503, 0)


async def test_an_error_of_the_engine_passes_as_it_is(plane: Authorized) -> None:
    await plane.publish(IRIS)
    plane.dataplane.engine.answer = answer_status(422, b'{"error":"expects 4 features"}', {"content-type": "application/json"})
    answer = await plane.dataplane.client.post("/models/iris/predict", json=BODY, headers=OURS)
    assert (answer.status_code, answer.json()) == (422, {"error": "expects 4 features"})
    (event,) = await plane.events(1)
    assert (event.outcome, event.http_status) == (Outcome.COMPLETE, 422)


async def test_an_engine_that_refuses_the_gateway_is_not_told_to_the_client_as_its_own_key(plane: Authorized) -> None:
    await plane.publish(IRIS, LLAMA)
    before = REGISTRY.get_sample_value("ias_engine_refusals_total", {"model": "iris", "status": "403"}) or 0
    plane.dataplane.engine.answer = answer_status(403, b'{"error":"Forbidden"}', {"content-type": "application/json", "www-authenticate": "Bearer"})
    client = plane.dataplane.client
    refused = await client.post("/models/iris/predict", json=BODY, headers=OURS)
    is_kserve_error(refused, 502, "refused the gateway's credential")
    assert (refused.headers["x-should-retry"], "www-authenticate" in refused.headers) == ("false", False)
    for stream in (False, True):
        chat = await client.post("/v1/chat/completions", json={"model": "llama", "messages": [], "stream": stream}, headers=OURS)
        assert (chat.status_code, chat.json()) == (502, json.loads(upstream_unauthorized().openai_body()))
    asked = {"model": "llama", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    message = await client.post("/v1/messages", json=asked, headers=OURS)
    assert (message.status_code, message.json()["error"]["type"]) == (502, "api_error")
    told = [(event.outcome, event.http_status, event.input_tokens, event.output_tokens) for event in await plane.events(4)]
    assert told == [(Outcome.UPSTREAM_ERROR, 502, 0, 0)] * 4
    assert REGISTRY.get_sample_value("ias_engine_refusals_total", {"model": "iris", "status": "403"}) == before + 1


async def test_what_has_no_route_is_a_model_that_was_not_found(plane: Authorized) -> None:
    """extauth may hear of a model before the gateway has its route, or after it has gone."""
    plane.extauth.publish(IRIS, LLAMA)
    client = plane.dataplane.client
    chat = await client.post("/v1/chat/completions", json={"model": "llama", "messages": []}, headers=OURS)
    assert (chat.status_code, chat.json()["error"]["code"]) == (404, "model_not_found")
    is_kserve_error(await client.post("/models/iris/predict", json=BODY, headers=OURS), 404, "'iris' does not exist")
    is_kserve_error(await client.get("/v1/models/iris", headers=OURS), 404, "'iris' does not exist")


async def test_errors_of_a_traditional_models_readiness_are_kserves(plane: Authorized) -> None:
    """The path is OpenAI's object of a model, too: its shape is KServe's where whoever asks may know that the model is a traditional one."""
    await plane.publish(publication("iris", limits=ScopeLimits(requests_per_minute=2)), LLAMA)
    narrow = new_key()
    plane.extauth.know(narrow, "ours", allowed_models=("other",))
    client, path = plane.dataplane.client, "/v1/models/iris"
    is_kserve_error(await client.get(path, headers={"x-api-key": narrow.text}), 403, "may not use")
    llama = await client.get("/v1/models/llama", headers={"x-api-key": narrow.text})
    assert (llama.status_code, llama.json()["error"]["code"]) == (403, "model_not_allowed")
    plane.dataplane.engine.answer = answer_status(401, b"")
    is_kserve_error(await client.get(path, headers=OURS), 502, "refused the gateway's credential")
    plane.dataplane.engine.url = "http://127.0.0.1:1"
    await plane.publish(publication("iris", limits=ScopeLimits(requests_per_minute=2)), LLAMA)
    is_kserve_error(await client.get(path + "?x=1", headers=OURS), 503, "The model is unavailable")
    is_kserve_error(await client.get(path, headers=OURS), 429, "requestsPerMinute")
    for headers in (FOREIGN, {}):  # who may not know of it, and who has shown no key, learn nothing by the shape
        unknown = await client.get(path, headers=headers)
        assert unknown.json()["error"]["code"] in {"model_not_found", "invalid_api_key"}


async def test_limits_of_requests_hold_and_are_told(plane: Authorized) -> None:
    await plane.publish(publication("iris", limits=ScopeLimits(requests_per_minute=2, tokens_per_minute=0)))
    answers = [await plane.dataplane.client.post("/models/iris/predict", json=BODY, headers=OURS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert not [name for name in answers[0].headers if name.endswith("-tokens")]
    is_kserve_error(answers[2], 429, "requestsPerMinute of the model 'iris'")
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert len(await plane.events(2)) == 2


async def test_the_gateway_answers_for_the_server_itself(plane: Authorized) -> None:
    client = plane.dataplane.client
    for path, said in (("/v2/health/live", {"live": True}), ("/v2/health/ready", {"ready": True})):
        assert (await client.get(path, headers=OURS)).json() == said
        is_kserve_error(await client.get(path), 401, "No valid API key")
    assert (await client.get("/v2", headers=OURS)).json()["name"] == "ias"
    is_kserve_error(await client.get("/v2"), 401, "No valid API key")


# --- OpenAI models at a path of their own ---


async def test_a_base_path_forces_its_model(plane: Authorized) -> None:
    await plane.publish(IRIS, LLAMA)
    client = plane.dataplane.client
    for named in ({}, {"model": "llama"}, {"model": "gpt-4"}):
        body = {**named, "messages": [{"role": "user", "content": "Hi"}]}
        answer = await client.post("/v1/models/llama/chat/completions", json=body, headers=OURS)
        written = json.dumps({**body, "model": "meta/llama"}, separators=(",", ":"))
        assert answer.json() == {"target": "/v1/chat/completions", "body_bytes": len(written)}
    assert (await client.get("/v1/models/llama", headers=OURS)).json()["id"] == "llama"
    wrong = await client.post("/v1/chat/completions", json={"model": "iris", "messages": []}, headers=OURS)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "wrong_protocol")
    assert [event.endpoint for event in await plane.events(3)] == ["chat_completions"] * 3


# --- whose model it is ---


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/models/iris/predict", {}),
        ("/acme/iris/predict", {}),
        ("/v2/models/iris/infer", {"host": "ours.example"}),
        ("/theirs/own/..%5Ciris/predict", {}),
        ("/theirs/own/predict/../../../acme/iris/predict", {}),
        ("/theirs/own;/../../acme/iris/predict", {}),
        ("/theirs/own/predict", {"x-ias-model": "iris", "x-envoy-original-path": "/acme/iris/predict", ":path": "/acme/iris/predict"}),
        ("/theirs/own/predict?/../../acme/iris/predict", {}),
        ("/v1/models/own:predict#/../iris:predict", {}),
        ("/v1/models/iris%3Apredict:predict", {}),
        ("/v2/models/own/versions/..%2f..%2firis/infer", {}),
        ("/v2/models/own/versions/%2e%2e/infer", {}),
        ("/v2/models/own%2f..%2firis/infer", {}),
    ],
)
async def test_no_spelling_of_path_and_host_reaches_a_foreign_model(plane: Authorized, path: str, headers: dict[str, str]) -> None:
    own = publication("own", allowed_org_ids=("theirs",), owner_org_id="theirs", external_path="/theirs/own", public_hostname="theirs.example")
    await plane.publish(publication("iris", external_path="/acme/iris", public_hostname="ours.example"), own)
    lines = {"host": "theirs.example", "content-length": "2", **FOREIGN, **headers}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items() if name[0] != ":") + "\r\n{}"
    await exchange(plane.dataplane.envoy.port, head.encode())
    assert [received.target for received in plane.dataplane.engine.received if "iris" in received.target.partition("?")[0]] == []


async def test_a_hostname_keeps_others_out(plane: Authorized) -> None:
    both = {"allowed_org_ids": ("ours",)}
    await plane.publish(
        publication("a", public_hostname="a.example", external_path="/same", **both),
        publication("b", public_hostname="b.example", external_path="/same", **both),
    )
    client = plane.dataplane.client
    for host, target in (("a.example", "/v1/models/a:predict"), ("B.example:80", "/v1/models/b:predict")):
        answer = await client.post("/same/predict", json=BODY, headers={**OURS, "host": host})
        assert answer.json()["target"] == target
    is_kserve_error(await client.post("/models/a/predict", json=BODY, headers={**OURS, "host": "b.example"}), 404, "'a' does not exist")
    assert (await client.post("/models/a/predict", json=BODY, headers=OURS)).status_code == 200, "the gateway's own address"


# --- without a key ---


async def test_a_publication_that_needs_no_key_is_open_limited_and_recorded(plane: Authorized) -> None:
    await plane.publish(publication("iris", external_path="/acme/iris", require_api_key=False), publication("other"))
    client = plane.dataplane.client
    for path in ("/acme/iris/predict", "/models/iris/predict", "/v1/models/iris:predict", "/v2/models/iris/infer"):
        assert (await client.post(path, json=BODY)).status_code == 200
    assert (await client.get("/v2/models/iris/ready")).status_code == 200
    limited = await client.post("/acme/iris/predict", json=BODY)
    is_kserve_error(limited, 429, "of your network without an API key")
    events = await plane.events(5)
    assert {(event.org_id, event.user_id, event.key_id) for event in events} == {("ours", NOBODY, NOBODY)}
    is_kserve_error(await client.post("/acme/iris/predict", json=BODY, headers={"x-api-key": "bad"}), 401, "No valid API key")
    for path in ("/models/other/predict", "/v1/models/irisx:predict", "/v2/models/iris2/infer", "/v2/health/live"):
        is_kserve_error(await client.request("GET" if "live" in path else "POST", path), 401, "No valid API key")
    assert (await client.post("/acme/iris/predict", json=BODY, headers=OURS)).status_code == 200, "keys have their own limits"


async def test_an_owner_that_is_suspended_takes_its_visitors_along(plane: Authorized) -> None:
    open_iris = {"external_path": "/acme/iris", "require_api_key": False}
    await plane.publish(publication("iris", **open_iris))
    assert (await plane.dataplane.client.post("/acme/iris/predict", json=BODY)).status_code == 200
    plane.extauth.publish(publication("iris", owner_active=False, **open_iris))
    is_kserve_error(await plane.dataplane.client.post("/acme/iris/predict", json=BODY), 401, "No valid API key")
