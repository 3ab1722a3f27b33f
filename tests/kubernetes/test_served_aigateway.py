"""Profile `aigateway`: our manifests as they are, with a stand-in for AI Gateway's part (`ai_gateway_stand_in.py`).

What this shows is ours: that extauth comes first, that a model is found only where extauth and the body's model agree, and that
traditional models stay apart. It does not show that AI Gateway does what the stand-in does.
"""

from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.world import CHAT, Tenant, simulate, until
from tests.kubernetes.ai_gateway_stand_in import StandIn, generated, running_stand_in
from tests.kubernetes.served import Served, served
from tests.support.envoy_gateway import EnvoyGateway
from tests.support.kubernetes import KubernetesServer

pytestmark = pytest.mark.timeout(300)  # the first test waits for an API server, Envoy Gateway and `ias up`

CHAT_PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with running_stand_in() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    kubernetes_server: KubernetesServer,
    aigw_crds: None,
    envoy_gateway: EnvoyGateway,
    stand_in: StandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("aigateway"), kubernetes_server, envoy_gateway, profile="aigateway") as running:
        apply(running, stand_in)
        until(lambda: running.asked("/v1/models").status_code == 401, 20)
        yield running


def apply(gateway: Served, stand_in: StandIn) -> None:
    """Apply what we render, and what AI Gateway would make of it."""
    manifests = gateway.render()
    theirs = generated(manifests, f"{gateway.namespace}/ias/http", stand_in)
    gateway.apply([*manifests, *theirs])


@pytest.fixture(scope="module")
def tenant(gateway: Served) -> Tenant:
    return gateway.world.tenant()


@pytest.fixture(scope="module")
def models(gateway: Served, tenant: Tenant, stand_in: StandIn) -> tuple[str, str]:
    """Two models of one tenant."""
    names = gateway.world.publish(tenant), gateway.world.publish(tenant)
    apply(gateway, stand_in)
    body = {"model": names[1], "messages": CHAT}
    until(lambda: gateway.asked(CHAT_PATH, tenant.api_key, json=body).status_code == 200, 20)
    return names


def test_an_openai_client_is_answered_through_both_and_counted(gateway: Served, tenant: Tenant, models: tuple[str, str], stand_in: StandIn) -> None:
    stream = gateway.world.client(tenant.api_key).chat.completions.create(
        model=models[0], messages=CHAT, stream=True, extra_headers=simulate(tokens=9)
    )
    request_id = stream.response.headers["x-request-id"]
    assert list(stream)
    assert stand_in.models[-1] == models[0], "the stand-in was asked"
    row = gateway.world.row(tenant.user, request_id)
    assert (row["model"], row["outcome"], row["outputTokens"]) == (models[0], "complete", 9)


def test_a_spoofed_model_header_changes_nothing(gateway: Served, tenant: Tenant, models: tuple[str, str]) -> None:
    spoofed = {"x-ai-eg-model": models[1], "x-ias-model": models[1]}
    answer = gateway.asked(CHAT_PATH, tenant.api_key, json={"model": models[0], "messages": CHAT}, headers=spoofed)
    assert answer.status_code == 200
    assert gateway.world.row(tenant.user, answer.headers["x-request-id"])["model"] == models[0]


def test_where_extauth_and_the_body_disagree_there_is_no_route(gateway: Served, tenant: Tenant, models: tuple[str, str]) -> None:
    """The path says one model, which extauth goes by; the body says another, which AI Gateway goes by."""
    answer = gateway.asked(f"/v1/models/{models[0]}/chat/completions", tenant.api_key, json={"model": models[1], "messages": CHAT})
    assert answer.status_code == 404
    agreed = gateway.asked(f"/v1/models/{models[0]}/chat/completions", tenant.api_key, json={"model": models[0], "messages": CHAT})
    assert agreed.status_code == 200


def test_without_a_key_nobody_reads_the_body(gateway: Served, models: tuple[str, str], stand_in: StandIn) -> None:
    """The canary of a publication asks like this."""
    before = len(stand_in.models)
    answer = gateway.asked(CHAT_PATH, json={"model": models[0], "messages": CHAT})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert len(stand_in.models) == before


def test_a_traditional_model_is_none_of_ai_gateways_business(gateway: Served, tenant: Tenant, models: tuple[str, str], stand_in: StandIn) -> None:
    assert models
    with gateway.traditional_model(tenant, lambda: apply(gateway, stand_in)) as key:
        before = len(stand_in.models)
        rows = {"instances": [{"feature1": 1.0, "feature2": 2.0}]}
        until(lambda: gateway.asked("/models/iris/predict", key, json=rows).status_code == 200, 10)
        predicted = gateway.asked("/v1/models/iris:predict", key, json=rows)
        assert (predicted.status_code, predicted.json()) == (200, {"predictions": [1]})
        assert gateway.asked("/v1/models/iris:predict", json=rows).status_code == 401
        assert httpx2.get(f"{gateway.world.gateway}/v2/models/iris/ready", headers={"x-api-key": key}).status_code == 200
        assert len(stand_in.models) == before
