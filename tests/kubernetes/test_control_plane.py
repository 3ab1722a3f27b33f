"""Two control planes whose gateway is a cluster: what they publish over REST is served by Envoy Gateway's Envoy."""

from collections.abc import Iterator

import pytest

from tests.e2e.world import CHAT, Rest, Tenant, until
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.served import Served, served
from tests.support.envoy_gateway import EnvoyGateway
from tests.support.kubernetes import KubernetesServer

LEASE_S = 2


@pytest.fixture(scope="module")
def service(kubernetes_server: KubernetesServer, envoy_gateway: EnvoyGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("kubernetes"), kubernetes_server, envoy_gateway) as running:
        yield running


@pytest.fixture(scope="module")
def first(service: Served) -> Iterator[ControlPlane]:
    with control_plane(service, IAS_KUBERNETES_LEASE_SECONDS=str(LEASE_S)) as running:
        until(lambda: leader(service), 20)
        yield running


@pytest.fixture(scope="module")
def second(service: Served, first: ControlPlane) -> Iterator[ControlPlane]:
    with control_plane(service, IAS_KUBERNETES_LEASE_SECONDS=str(LEASE_S)) as running:
        yield running


@pytest.fixture(scope="module")
def tenant(service: Served) -> Tenant:
    return service.world.tenant()


def leader(service: Served) -> str:
    leases = service.server.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{service.namespace}/leases")["items"]
    return str(leases[0]["spec"]["holderIdentity"]) if leases else ""


def routes(service: Served) -> dict[str, str]:
    found = service.server.call("GET", f"/apis/gateway.networking.k8s.io/v1/namespaces/{service.namespace}/httproutes")["items"]
    models = ((one["metadata"].get("annotations", {}).get("ias.dev/model"), one["metadata"]["name"]) for one in found)
    return {model: name for model, name in models if model}


def publish(plane: ControlPlane, service: Served, tenant: Tenant, name: str) -> tuple[Rest, str]:
    """Publish on one control plane, its canary flying through Envoy Gateway's Envoy."""
    rest = Rest(plane.url, service.world.ready.get("admin_username", "admin"), service.world.admin_password)
    config = {"tenantId": tenant.slug, "modelType": "openai", "upstreamModel": "sim-chat"}
    made = rest.call("POST", f"/api/models/{name}/publish", json={"config": config}, timeout=60)
    return rest, made["apiKey"]


def status_of(service: Served, name: str, key: str) -> int:
    body = {"model": name, "messages": CHAT, "max_tokens": 2}
    return int(service.asked("/v1/chat/completions", key, json=body).status_code)


def test_what_is_published_answers_says_that_it_is_accepted_and_leaves_nothing(service: Served, first: ControlPlane, tenant: Tenant) -> None:
    rest, key = publish(first, service, tenant, "one")
    assert status_of(service, "one", key) == 200
    assert status_of(service, "one", "") == 401
    until(lambda: rest.call("GET", "/api/models/one/publish")["gatewayState"] == "accepted", 20)
    rest.call("DELETE", "/api/models/one/publish")
    until(lambda: "one" not in routes(service), 20)
    assert status_of(service, "one", tenant.api_key) == 404
    rest.http.close()


def test_a_route_that_is_deleted_by_hand_comes_back(service: Served, first: ControlPlane, tenant: Tenant) -> None:
    rest, key = publish(first, service, tenant, "two")
    route = routes(service)["two"]
    service.server.call("DELETE", f"/apis/gateway.networking.k8s.io/v1/namespaces/{service.namespace}/httproutes/{route}")
    until(lambda: routes(service).get("two") == route, 20)
    until(lambda: status_of(service, "two", key) == 200, 20)
    rest.http.close()


def test_the_second_publishes_too_and_leads_when_the_first_is_gone(
    service: Served, first: ControlPlane, second: ControlPlane, tenant: Tenant
) -> None:
    before = leader(service)
    rest, key = publish(second, service, tenant, "three")
    assert status_of(service, "three", key) == 200
    assert leader(service) == before
    first.kill()
    until(lambda: leader(service) not in {"", before}, 10 * LEASE_S)
    route = routes(service)["three"]
    service.server.call("DELETE", f"/apis/gateway.networking.k8s.io/v1/namespaces/{service.namespace}/httproutes/{route}")
    until(lambda: routes(service).get("three") == route, 20)
    rest.http.close()
