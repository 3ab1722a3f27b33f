"""Profile `plain`, whole: a real API server, Envoy Gateway and Envoy, in front of the services of `ias up` and our Rate Limit Service.

Models are published over REST; what is in the database then, the control plane's own adapter writes into the cluster.
"""

import contextlib
import http.client
import json
from collections.abc import Iterator
from concurrent import futures

import grpc
import httpx2
import openai
import pytest

from tests.e2e.world import CHAT, Tenant, World, simulate, until
from tests.kubernetes.served import Served, free_port, served
from tests.support.envoy_gateway import EnvoyGateway
from tests.support.kubernetes import KubernetesServer

pytestmark = pytest.mark.timeout(300)  # the first test waits for an API server, Envoy Gateway and `ias up`

ROWS = {"instances": [{"feature1": 1.0, "feature2": 2.0}]}
GLOBAL_LIMIT = 40
"""Requests an hour to each model, counted by our Rate Limit Service: more than the other tests send."""
TENSOR = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [3, 1, 1, 3]}]}


@pytest.fixture(scope="module")
def grpc_port() -> int:
    """Of the engine that answers gRPC."""
    return free_port()


@pytest.fixture
def grpc_engine(grpc_port: int) -> Iterator[list[bytes]]:
    """A model server that answers every call with nothing; yields what it was asked."""
    asked: list[bytes] = []

    def infer(message: bytes, _context: grpc.ServicerContext) -> bytes:
        asked.append(message)
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(infer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    yield asked
    server.stop(None).wait()


@pytest.fixture(scope="module")
def gateway(
    kubernetes_server: KubernetesServer, envoy_gateway: EnvoyGateway, grpc_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    limit = {"requests": GLOBAL_LIMIT, "unit": "Hour", "service": {"host": "127.0.0.1", "port": free_port()}}
    home = tmp_path_factory.mktemp("plain")
    with served(home, kubernetes_server, envoy_gateway, engineGrpcPort=grpc_port, globalLimit=limit) as running:
        running.write()
        until(lambda: running.asked("/v1/models").status_code == 401, 20)
        yield running


@pytest.fixture(scope="module")
def tenant(gateway: Served) -> Tenant:
    return gateway.world.tenant()


@pytest.fixture(scope="module")
def model(gateway: Served, tenant: Tenant) -> str:
    name = gateway.world.publish(tenant)
    gateway.write()
    return name


def test_the_gateway_is_programmed_and_every_part_of_it_is_accepted(gateway: Served, model: str) -> None:
    manifests = gateway.render()
    assert {manifest["kind"] for manifest in manifests} >= {"Gateway", "HTTPRoute", "GRPCRoute", "SecurityPolicy", "EnvoyPatchPolicy"}
    assert {manifest["kind"]: reason for manifest in manifests if (reason := gateway.refusal(manifest))} == {}


def test_an_openai_client_is_answered_and_counted(gateway: Served, tenant: Tenant, model: str) -> None:
    answer = gateway.world.client(tenant.api_key).chat.completions.with_raw_response.create(model=model, messages=CHAT)
    usage = answer.parse().usage
    assert usage is not None
    assert int(answer.headers["content-length"]) > 0, "an answer that passes through extproc keeps its length"
    row = gateway.world.row(tenant.user, answer.headers["x-request-id"])
    assert (row["outcome"], row["inputTokens"], row["outputTokens"]) == ("complete", usage.prompt_tokens, usage.completion_tokens)


def test_a_stream_is_counted_and_shows_no_usage_that_was_not_asked_for(gateway: Served, tenant: Tenant, model: str) -> None:
    stream = gateway.world.client(tenant.api_key).chat.completions.create(model=model, messages=CHAT, stream=True, extra_headers=simulate(tokens=9))
    request_id = stream.response.headers["x-request-id"]
    assert all(chunk.usage is None and chunk.choices for chunk in stream)
    row = gateway.world.row(tenant.user, request_id)
    assert (row["stream"], row["outcome"], row["outputTokens"]) == (True, "complete", 9)


def test_a_body_far_above_envoy_gateways_own_limit_passes_and_one_above_ours_does_not(gateway: Served, tenant: Tenant, model: str) -> None:
    client = gateway.world.client(tenant.api_key)
    assert client.chat.completions.create(model=model, messages=[{"role": "user", "content": "a " * 500_000}]).choices
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "a" * 11_000_000}])
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")


def test_refusals_have_their_status_and_our_shape(gateway: Served, tenant: Tenant, model: str) -> None:
    world, stranger = gateway.world, gateway.world.tenant()
    narrow = tenant.user.call("POST", "/api/key", json={"name": "narrow", "allowedModels": ["other"]})["apiKey"]
    until(lambda: 401 not in (_status(world, narrow, model), _status(world, stranger.api_key, model)), 3)
    asked = {
        "no key": _refusal(world, "", model),
        "bad key": _refusal(world, tenant.api_key[:-1] + ("a" if tenant.api_key[-1] != "a" else "b"), model),
        "another key's model": _refusal(world, narrow, model),
        "another tenant's": _refusal(world, stranger.api_key, model),
        "unknown": _refusal(world, tenant.api_key, "nobody-knows-it"),
    }
    assert asked == {
        "no key": (401, "invalid_api_key"),
        "bad key": (401, "invalid_api_key"),
        "another key's model": (403, "model_not_allowed"),
        "another tenant's": (404, "model_not_found"),
        "unknown": (404, "model_not_found"),
    }
    unknown = httpx2.get(f"{world.gateway}/metrics", headers={"authorization": f"Bearer {tenant.api_key}"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url")
    assert unknown.headers["x-request-id"]


def test_limits_of_the_publication_are_429(gateway: Served, tenant: Tenant) -> None:
    limited = gateway.world.publish(tenant, requestsPerMinute=2, burstLimit=20)
    gateway.write()
    until(lambda: _status(gateway.world, tenant.api_key, limited) == 200, 3)
    answers = [_post(gateway.world, limited, tenant.api_key) for _ in range(25)]
    assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answers[-1].headers["retry-after"]


def test_the_limit_of_all_envoys_together_is_counted_by_our_rate_limit_service(gateway: Served, tenant: Tenant) -> None:
    crowded = gateway.world.publish(tenant)
    gateway.write()
    until(lambda: _status(gateway.world, tenant.api_key, crowded) == 200, 10)
    statuses = [(answer := _post(gateway.world, crowded, tenant.api_key)).status_code for _ in range(GLOBAL_LIMIT + 1)]
    assert 429 not in statuses[: GLOBAL_LIMIT // 2]
    assert (statuses[-1], answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")


def test_what_only_we_may_say_is_taken_from_clients(gateway: Served, tenant: Tenant, model: str) -> None:
    stranger = gateway.world.tenant()
    until(lambda: _status(gateway.world, stranger.api_key, model) != 401, 3)
    told = {"x-ias-model": model, "x-ias-context": "forged", "x-envoy-external-address": "10.0.0.1", "x-request-id": "chosen"}
    body = {"model": model, "messages": CHAT}
    answer = httpx2.post(f"{gateway.world.gateway}/v1/chat/completions", json=body, headers={**told, "authorization": f"Bearer {stranger.api_key}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.headers["x-request-id"] != "chosen"
    keyless = httpx2.post(f"{gateway.world.gateway}/v1/chat/completions", json=body, headers=told)
    assert keyless.status_code == 401


def test_paths_that_could_be_read_in_two_ways_are_refused_and_nothing_is_upgraded(gateway: Served, tenant: Tenant, model: str) -> None:
    key = {"Authorization": f"Bearer {tenant.api_key}"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.request("GET", "/v1%2fmodels", headers=key)
        assert connection.getresponse().status == 400
    body = json.dumps({"model": model, "messages": CHAT})
    upgrade = {**key, "Connection": "Upgrade", "Upgrade": "websocket", "Content-Type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.request("POST", "/v1/chat/completions", body=body, headers=upgrade)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("upgrade")) == (200, None)


def test_a_traditional_model_is_asked_by_both_protocols(gateway: Served, tenant: Tenant) -> None:
    with gateway.traditional_model(tenant, gateway.write) as key:
        until(lambda: gateway.asked("/models/iris/predict", key, json=ROWS).status_code == 200, 10)
        predicted = gateway.asked("/v1/models/iris:predict", key, json=ROWS)
        assert (predicted.status_code, predicted.json()) == (200, {"predictions": [1]})
        assert gateway.asked("/v2/models/iris/infer", key, json=TENSOR).json()["outputs"][0]["data"] == [0, 1]
        row = gateway.world.row(gateway.world.admin, predicted.headers["x-request-id"])
        assert (row["endpoint"], row["outcome"]) == ("kserve_v1_predict", "complete")
        assert gateway.asked("/models/iris/predict", json=ROWS).status_code == 401


def test_grpc_inference_has_a_listener_of_its_own(gateway: Served, tenant: Tenant, grpc_engine: list[bytes]) -> None:
    message = b"\x0a\x04iris\x2a\x00"  # ModelInferRequest{model_name: "iris", inputs: [{}]}
    with gateway.traditional_model(tenant, gateway.write) as key, grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert _code(infer, message, "") is grpc.StatusCode.UNAUTHENTICATED
        until(lambda: _code(infer, message, key) is grpc.StatusCode.OK, 20)
        assert grpc_engine[-1] == message, "as the client sent it"
        assert _code(infer, b"\x0a\x05other", key) is grpc.StatusCode.NOT_FOUND
        assert _code(infer, message + message, key) is grpc.StatusCode.INVALID_ARGUMENT, "an engine might read the other name"
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        call = stream(iter([message]), metadata=(("authorization", f"Bearer {key}"),), timeout=10)
        assert call.code() is grpc.StatusCode.UNIMPLEMENTED, "refused at once: extauth would wait for the end of a stream"


def _code(call: grpc.UnaryUnaryMultiCallable, message: bytes, key: str) -> grpc.StatusCode:
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    answered = call.future(message, metadata=metadata, timeout=10)
    answered.exception()
    return answered.code()


def _status(world: World, api_key: str, model: str) -> int:
    return _refusal(world, api_key, model)[0]


def _refusal(world: World, api_key: str, model: str) -> tuple[int, str]:
    answer = _post(world, model, api_key)
    return answer.status_code, answer.json()["error"]["code"] if answer.is_error else ""


def _post(world: World, model: str, api_key: str) -> httpx2.Response:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx2.post(f"{world.gateway}/v1/chat/completions", json={"model": model, "messages": CHAT}, headers=headers)
