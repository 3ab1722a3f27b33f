"""What the other tests of this tier stand on."""

import pytest

from tests.support.kubernetes import KubernetesAnswered, KubernetesServer


def test_the_api_server_knows_the_gateways_resources(kubernetes: KubernetesServer) -> None:
    groups = {group["name"] for group in kubernetes.call("GET", "/apis")["groups"]}
    assert groups >= {"gateway.networking.k8s.io", "gateway.envoyproxy.io"}
    assert kubernetes.call("GET", "/version")["gitVersion"] == "v1.35.4"


def test_it_checks_schemas(kubernetes: KubernetesServer, namespace: str) -> None:
    backend = {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": {"name": "wrong"}, "spec": {"endpoints": [{}]}}
    with pytest.raises(KubernetesAnswered, match="422"):
        kubernetes.apply(f"/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{namespace}/backends/wrong", backend)
