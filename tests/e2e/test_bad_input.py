"""What strangers send: each gets the design's error in OpenAI's shape, at once, and nothing reaches the engine."""

import gzip
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.e2e.world import CHAT, Tenant, World, simulate, until

MIB = 1024 * 1024


def error_of(response: httpx2.Response) -> tuple[int, str, str]:
    """(status, type, code) of an answer that must have OpenAI's shape."""
    assert response.headers["content-type"].startswith("application/json"), response.text
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return response.status_code, error["type"], error["code"]


def post(world: World, key: str | None, body: bytes | dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {}), **headers}
    return httpx2.post(f"{world.gateway}{path}", content=content, headers=sent, timeout=20)


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": CHAT, **more}


INVALID_KEY = (401, "invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-foreign"},
        {"authorization": "Basic dXNlcjpwdw=="},
        {"authorization": "Bearer"},
        {"x-api-key": "ias_live_" + "A" * 57},
        {"api-key": "ias_live_" + "A" * 10_000},
    ],
    ids=["foreign", "basic", "empty", "wrong checksum", "very long"],
)
def test_wrong_credentials(headers: dict[str, str], module_world: World, model: str) -> None:
    answer = post(module_world, None, chat(model), **headers)
    assert error_of(answer) == INVALID_KEY
    assert "www-authenticate" in answer.headers


def test_well_formed_but_unknown_key(module_world: World, model: str) -> None:
    from ias.apikeys import new_key

    assert error_of(post(module_world, new_key().text, chat(model))) == INVALID_KEY


def test_two_keys_that_differ(module_world: World, tenant: Tenant, model: str) -> None:
    answer = post(module_world, tenant.api_key, chat(model), **{"x-api-key": "ias_live_" + "A" * 57})
    assert error_of(answer) == INVALID_KEY
    same = post(module_world, tenant.api_key, chat(model), **{"x-api-key": tenant.api_key})
    assert same.status_code == 200


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
def test_other_clients_headers_work(header: str, module_world: World, tenant: Tenant, model: str) -> None:
    assert post(module_world, None, chat(model), **{header: tenant.api_key}).status_code == 200


def test_no_credential_is_answered_before_the_body_is_read(module_world: World) -> None:
    address = urlsplit(module_world.gateway)
    with socket.create_connection((address.hostname, address.port), timeout=5) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + f"content-length: {10 * MIB}\r\n\r\n".encode()
        )
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 401"), answer[:200]
    assert b"invalid_api_key" in answer


def test_no_credential_with_a_body_of_10_mib(module_world: World, model: str) -> None:
    started = time.monotonic()
    body = json.dumps(chat(model)).encode() + b" " * (10 * MIB - 1000)
    try:
        answer = post(module_world, None, body)
    except httpx2.WriteError:
        pass  # the answer came first and the connection was closed while we were still sending
    else:
        assert error_of(answer) == INVALID_KEY
    assert time.monotonic() - started < 5


def test_unknown_and_foreign_models_look_the_same(world: World) -> None:
    one, other = world.tenant(), world.tenant()
    foreign = world.publish(other)
    world.publish(one)
    answers = [post(world, one.api_key, chat(name)) for name in ("no-such-model", foreign)]
    for answer in answers:
        assert error_of(answer) == (404, "invalid_request_error", "model_not_found")
    assert answers[0].text.replace("no-such-model", "X") == answers[1].text.replace(foreign, "X")


def test_an_unpublished_model_is_gone_and_comes_back(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    assert post(world, tenant.api_key, chat(model)).status_code == 200
    world.admin.call("DELETE", f"/api/models/{model}/publish")
    until(lambda: post(world, tenant.api_key, chat(model)).status_code == 404, 1)
    world.publish(tenant, name=model)
    assert post(world, tenant.api_key, chat(model)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/../metrics", "/metrics", "/", "/v1/chat/completions/extra", "/v1/load_lora_adapter", "/v1/models/x/y"]
)
def test_unknown_paths(path: str, module_world: World, tenant: Tenant, model: str) -> None:
    request = module_world_request(module_world, path, tenant.api_key, chat(model))
    assert error_of(request) == (404, "invalid_request_error", "unknown_url")


@pytest.mark.parametrize("path", ["/v1%2Fchat/completions", "/v1/chat%2fcompletions", "/v1%5Cchat/completions"])
def test_escaped_slashes_are_refused(path: str, module_world: World, tenant: Tenant, model: str) -> None:
    status, kind, _ = error_of(module_world_request(module_world, path, tenant.api_key, chat(model)))
    assert (status, kind) == (400, "invalid_request_error")


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1//chat///completions", "/v1/./chat/completions", "/x/../v1/chat/completions"])
def test_paths_are_normalized_before_anything_is_decided(path: str, module_world: World, tenant: Tenant, model: str) -> None:
    assert module_world_request(module_world, path, tenant.api_key, chat(model)).status_code == 200
    assert module_world_request(module_world, path, "ias_live_x", chat(model)).status_code == 401


def module_world_request(world: World, path: str, key: str, body: dict[str, Any]) -> httpx2.Response:
    """POST with the path exactly as written: clients would normalize it."""
    address = urlsplit(world.gateway)
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(f"{head}content-length: {len(payload)}\r\nconnection: close\r\n\r\n".encode() + payload)
        data = b""
        while piece := raw.recv(65536):
            data += piece
    top, _, rest = data.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    if any(name == "transfer-encoding" for name, _ in headers):
        headers = [(name, value) for name, value in headers if name != "transfer-encoding"]
        pieces = []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            pieces.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        rest = b"".join(pieces)
    return httpx2.Response(int(lines[0].split()[1]), headers=headers, content=rest)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"not json", None),
        (b"", None),
        (b"[]", None),
        (b'{"messages": []}', "model"),
        (b'{"model": 7}', "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": "a", "model": "b", "messages": []}', None),
        (b'{"model": "a", "mod\\u0065l": "b", "messages": []}', None),
        (b'{"model": "a", "stream": 1}', "stream"),
        (b'{"model": "a", "stream": true, "stream_options": 3}', "stream_options"),
        (b'{"model": "a", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
        (b'{"model": "a\xff"}', None),
        (b'{"model": "a", "messages": [], "priority": 1}', "priority"),
    ],
    ids=[
        "not json",
        "empty",
        "array",
        "no model",
        "number",
        "empty name",
        "twice",
        "twice, escaped",
        "stream",
        "stream_options",
        "deep",
        "not utf-8",
        "engine extension",
    ],
)
def test_bodies_that_cannot_be_passed_on(body: bytes, param: str | None, module_world: World, tenant: Tenant, model: str) -> None:
    answer = post(module_world, tenant.api_key, body)
    status, kind, _ = error_of(answer)
    assert (status, kind) == (400, "invalid_request_error")
    if param:
        assert answer.json()["error"]["param"] == param


def test_a_body_that_is_too_large(module_world: World, tenant: Tenant, model: str) -> None:
    body = json.dumps(chat(model)).encode() + b" " * (10 * MIB)
    assert error_of(post(module_world, tenant.api_key, body)) == (413, "invalid_request_error", "request_too_large")


@pytest.mark.parametrize("size", [1, 100 * 1024, MIB, 3 * MIB, 10 * MIB - 2048])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_any_body_up_to_the_limit_passes(size: int, stream: bool, module_world: World, tenant: Tenant, model: str) -> None:
    body = chat(model, stream=stream)
    body["messages"] = [{"role": "user", "content": "x" * size}]
    answer = post(module_world, tenant.api_key, body, **simulate(tokens=3, pace_ms=0))
    assert answer.status_code == 200, answer.text[:300]
    if stream:
        assert answer.text.rstrip().endswith("[DONE]")
        assert '"usage":{' not in answer.text


def test_a_compressed_body(module_world: World, tenant: Tenant, model: str) -> None:
    answer = post(module_world, tenant.api_key, gzip.compress(json.dumps(chat(model)).encode()), **{"content-encoding": "gzip"})
    assert error_of(answer) == (415, "invalid_request_error", "unsupported_encoding")


def test_headers_of_ours_from_a_client_change_nothing(module_world: World, tenant: Tenant, model: str) -> None:
    forged = {"x-ias-model": model, "x-ias-context": "1.k1.x.y", "X-IAS-Anything": "1", "x-envoy-original-path": "/metrics", "x-ai-eg-model": "other"}
    assert error_of(post(module_world, None, chat(model), **forged)) == INVALID_KEY
    assert error_of(post(module_world, tenant.api_key, chat("nope"), **forged))[0] == 404
    assert post(module_world, tenant.api_key, chat(model), **forged, **simulate(tokens=2)).status_code == 200


def test_an_upgrade_is_refused(module_world: World, tenant: Tenant, model: str) -> None:
    answer = httpx2.get(
        f"{module_world.gateway}/v1/models",
        headers={"authorization": f"Bearer {tenant.api_key}", "connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x"},
    )
    assert answer.status_code in {400, 403, 404, 426}
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_engine_that_resets_before_its_headers(module_world: World, tenant: Tenant, model: str) -> None:
    answer = post(module_world, tenant.api_key, chat(model, stream=True), **simulate(reset_after=0))
    assert error_of(answer) == (503, "server_error", "service_unavailable")
    assert module_world.row(tenant.user, answer.headers["x-request-id"])["outcome"] == "upstream_error"


def test_a_client_that_leaves_a_stalled_engine_is_recorded(module_world: World, tenant: Tenant, model: str) -> None:
    with httpx2.stream(
        "POST",
        f"{module_world.gateway}/v1/chat/completions",
        json=chat(model, stream=True),
        headers={"authorization": f"Bearer {tenant.api_key}", **simulate(tokens=20, stall_after=3)},
    ) as answer:
        request_id = answer.headers["x-request-id"]
        seen = b""
        for piece in answer.iter_raw():
            seen += piece
            if seen.count(b'"delta"') >= 3:  # the role, and two pieces of output
                break
    row = module_world.row(tenant.user, request_id)
    assert row["outcome"] == "client_abort"
    assert row["outputTokens"] == 2
    assert row["usageSource"] == "counted"


def test_a_dead_backend(world: World) -> None:
    tenant = world.tenant()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    name = f"dead-{port}"
    made = world.admin.call("POST", "/api/backend", json={"name": name, "baseUrl": f"http://127.0.0.1:{port}"})
    assert made["health"] == "unhealthy"
    assert made["healthReason"]
    refused = world.admin.raw("POST", f"/api/models/{name}/publish", json={"config": {"tenantId": tenant.slug, "backend": name}})
    assert (refused.status_code, refused.json()["code"]) == (409, "MODEL_NOT_READY")
    assert world.admin.raw("GET", f"/api/models/{name}/publish").status_code == 404, "nothing half-done stays"
    world.admin.call("DELETE", f"/api/backend/{made['id']}")
