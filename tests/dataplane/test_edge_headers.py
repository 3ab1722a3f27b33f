"""What passes the edge, and in which spelling."""

import pytest

from extauth.client_address import client_address
from ias import headers
from tests.dataplane.conftest import CHAT, MODEL, Dataplane
from tests.dataplane.raw import exchange
from tests.dataplane.stand_ins import CONTEXT, GOOD_KEY, answer_status

_ENVOYS_OWN = {"x-envoy-auth-partial-body", "x-envoy-external-address"}


async def test_a_request_reaches_its_engine_and_the_answer_comes_back(dataplane: Dataplane) -> None:
    response = await dataplane.chat(padding=100)
    assert response.status_code == 200
    assert response.json()["target"] == CHAT
    assert dataplane.engine.received[0].body_bytes == len(response.request.content)
    assert response.headers["x-request-id"] == dataplane.extproc.requests[0]["x-request-id"] == dataplane.extauth.requests[0].headers["x-request-id"]


async def test_reserved_headers_of_a_client_reach_nobody(dataplane: Dataplane) -> None:
    sent = {"x-ias-context": "forged", "X-IAS-Model": "forged", "x-ias-other": "1", "x-envoy-retry-on": "5xx", "X-Ai-Eg-Model": "forged"}
    assert (await dataplane.chat(headers=sent)).status_code == 200
    [authorized], [processed], [received] = dataplane.extauth.requests, dataplane.extproc.requests, dataplane.engine.received
    assert not [name for name in authorized.headers if name.startswith(headers.RESERVED_PREFIXES) and name not in _ENVOYS_OWN]
    assert processed[headers.CONTEXT] == CONTEXT
    assert not [name for name in received.headers if name.startswith(headers.RESERVED_PREFIXES)]


async def test_the_engine_sees_neither_credential_nor_what_is_ours(dataplane: Dataplane) -> None:
    sent = {"x-request-tags": "team=a", "x-api-key": "second"}
    assert (await dataplane.chat(headers=sent)).status_code == 200
    received = dataplane.engine.received[0].headers
    assert not {*headers.CREDENTIALS, headers.CONTEXT, headers.MODEL, headers.TAGS} & received.keys()
    assert received["host"] == dataplane.engine.url.removeprefix("http://")


async def test_processor_and_authorization_get_only_the_headers_they_need(dataplane: Dataplane) -> None:
    assert (await dataplane.chat(headers={"cookie": "a=b", "x-request-tags": "team=a"})).status_code == 200
    assert "cookie" not in dataplane.extauth.requests[0].headers
    assert dataplane.extauth.requests[0].headers["x-request-tags"] == "team=a"
    assert dataplane.extproc.requests[0].keys() == {":path", "content-type", "content-length", "x-request-id", "x-ias-context"}


async def test_authorization_learns_from_where_a_request_comes(dataplane: Dataplane) -> None:
    assert (await dataplane.chat(headers={"x-forwarded-for": "203.0.113.9"})).status_code == 200
    assert client_address(dataplane.extauth.requests[0].headers) == "127.0.0.1", "no proxy in front is trusted"


@pytest.mark.parametrize("sent", ['not-a-uuid\\"},{', "7d0b8a4e-0b5a-4a51-9d3c-0f4f4e8a9e11"])
async def test_the_request_id_is_ours_whatever_a_client_sends(dataplane: Dataplane, sent: str) -> None:
    response = await dataplane.chat(headers={"x-request-id": sent})
    assert response.headers["x-request-id"] != sent
    assert len(response.headers["x-request-id"]) == 36
    assert dataplane.engine.received[0].headers["x-request-id"] == response.headers["x-request-id"]


async def test_answers_do_not_tell_what_software_serves(dataplane: Dataplane) -> None:
    response = await dataplane.chat()
    assert "server" not in response.headers
    assert not [name for name in response.headers if name.startswith("x-envoy-")]


async def test_what_authorization_tells_the_client_of_its_limits_wins_over_the_engines_own(dataplane: Dataplane) -> None:
    dataplane.extauth.tells = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-reset-tokens": "6m0s"}
    dataplane.engine.answer = answer_status(200, b"ok", {"x-ratelimit-limit-tokens": "7", "x-ratelimit-limit-requests": "9"})
    told = {name: value for name, value in (await dataplane.chat()).headers.multi_items() if name.startswith("x-ratelimit-")}
    assert told == {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-limit-requests": "9"}


@pytest.mark.parametrize(
    "path", ["//v1//chat///completions", "/v1/./chat/completions", "/v1/models/../chat/completions", "/v1/chat%2Dcompletions/../chat/completions"]
)
async def test_one_path_has_one_spelling_before_any_rule_looks_at_it(dataplane: Dataplane, path: str) -> None:
    status = await _raw_status(dataplane, path)
    assert status == 200
    assert dataplane.extauth.requests[0].path == dataplane.extproc.requests[0][":path"] == dataplane.engine.received[0].target == CHAT


@pytest.mark.parametrize("path", ["/v1/..%2Fmetrics", "/v1%2Fchat/completions", "/v1%5Cchat", "/v1/chat%2fcompletions"])
async def test_escaped_slashes_are_refused(dataplane: Dataplane, path: str) -> None:
    assert await _raw_status(dataplane, path) == 400
    assert not dataplane.extauth.requests


@pytest.mark.parametrize("path", ["/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/.%2E//metrics"])
async def test_dot_segments_cannot_leave_the_inference_paths(dataplane: Dataplane, path: str) -> None:
    assert await _raw_status(dataplane, path) == 404
    assert not dataplane.extauth.requests
    assert not dataplane.engine.received


async def _raw_status(dataplane: Dataplane, path: str) -> int:
    """Send a path as it is: HTTP clients normalize it themselves."""
    body = f'{{"model": "{MODEL}"}}'
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {GOOD_KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (await exchange(dataplane.envoy.port, (head + body).encode())).status
