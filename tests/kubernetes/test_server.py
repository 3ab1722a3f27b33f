"""What the other tests of this tier stand on."""

import pytest

from tests.support.kubernetes import KubernetesAnswered, KubernetesServer

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"answer": "42"}}


def test_the_api_server_knows_the_gateways_resources(kubernetes: KubernetesServer) -> None:
    groups = {group["name"] for group in kubernetes.call("GET", "/apis")["groups"]}
    assert groups >= {"gateway.networking.k8s.io", "gateway.envoyproxy.io"}
    assert kubernetes.call("GET", "/version")["gitVersion"] == "v1.35.4"


def test_it_checks_schemas(kubernetes: KubernetesServer, namespace: str) -> None:
    backend = {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": {"name": "wrong"}, "spec": {"endpoints": [{}]}}
    with pytest.raises(KubernetesAnswered, match="422"):
        kubernetes.apply(f"/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{namespace}/backends/wrong", backend)


def test_what_it_has_outlives_it(kubernetes: KubernetesServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/kept"
    version = kubernetes.apply(path, CONFIG)["metadata"]["resourceVersion"]
    kubernetes.kill_api()
    kubernetes.start()
    assert kubernetes.call("GET", path)["metadata"]["resourceVersion"] == version
