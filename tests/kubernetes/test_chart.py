"""The chart on a real API server: it takes every object as it is, and the control plane works with the rights that it gets, and no others."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml

from controlplane.gateway.ports import GatewayState
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.labels import MODEL
from controlplane.kubernetes.objects import path_of
from controlplane.kubernetes.profile import GatewayProfile, read_profile
from tests.support.chart import GOLDEN, NAMESPACE, Manifest, golden_values, manifests, manifests_of, render
from tests.support.gateway_profiles import ORDINARY
from tests.support.kubernetes import KubernetesAnswered, KubernetesServer

NOT_INSTALLED = {"ServiceMonitor"}
"""Their CRD belongs to Prometheus Operator."""


CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding"}


def path(one: Manifest) -> str:
    """Where the API has an object."""
    name, namespace = one["metadata"]["name"], one["metadata"].get("namespace", "")
    return path_of(one["apiVersion"], one["kind"], "" if one["kind"] in CLUSTER_SCOPED else namespace, name)


def make_namespaces(server: KubernetesServer, objects: list[Manifest]) -> None:
    for name in {one["metadata"]["namespace"] for one in objects if "namespace" in one["metadata"]}:
        server.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@pytest.mark.parametrize("name", GOLDEN)
def test_every_object_is_accepted(name: str, kubernetes: KubernetesServer) -> None:
    """By dry run, strict: an unknown field is refused."""
    make_namespaces(kubernetes, manifests(name))
    objects = [one for one in manifests(name) if one["kind"] not in NOT_INSTALLED]
    assert len(objects) > 30
    for one in objects:
        where = f"{path(one)}?dryRun=All&fieldManager=tests&fieldValidation=Strict"
        taken = kubernetes.call("PATCH", where, one, content_type="application/apply-patch+yaml")
        assert taken["metadata"]["name"] == one["metadata"]["name"]


# --- rights ---


@pytest.fixture
def installed(kubernetes: KubernetesServer) -> Iterator[tuple[GatewayProfile, str]]:
    """The gateway's profile and the token of the API, of a chart whose gateway, certificates and services are in three namespaces."""
    name = f"g-{uuid4().hex[:8]}"
    values = golden_values("aigateway")
    listener = {"name": "https", "port": 443, "certificate": "tls", "certificateNamespace": f"{name}-certificates"}
    values["gateway"]["profile"] |= {"profile": "plain", "namespace": name, "gateway": name, "gatewayClass": name, "listeners": [listener]}
    objects = manifests_of(render(values))
    rights = [one for one in objects if one["kind"] in {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}]
    make_namespaces(kubernetes, rights)
    for one in rights:
        kubernetes.apply(path(one), one)
    account = next(one["subjects"][0] for one in rights if one["kind"] == "ClusterRoleBinding")
    asked = f"/api/v1/namespaces/{account['namespace']}/serviceaccounts/{account['name']}/token"
    token = kubernetes.call("POST", asked, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    [config] = [one for one in objects if one["kind"] == "ConfigMap"]
    yield read_profile(yaml.safe_load(config["data"]["profile.yaml"])), token
    for one in rights:
        kubernetes.call("DELETE", path(one))


async def test_the_control_plane_publishes_with_the_rights_of_the_chart(kubernetes: KubernetesServer, installed: tuple[GatewayProfile, str]) -> None:
    profile, token = installed
    async with open_api(kubernetes.kubeconfig(token)) as api:
        cluster = KubernetesCluster(api, profile.gateway, profile.namespace)
        gateway = KubernetesGateway(cluster, profile, confirm_s=0)
        await gateway.apply(ORDINARY)
        found = await cluster.live(gateway.namespaces)
        assert {one["metadata"].get("namespace") for one in found if one["kind"] == "ReferenceGrant"} == {
            NAMESPACE,
            f"{profile.gateway}-certificates",
        }
        assert {one["kind"] for one in found} >= {"GatewayClass", "Gateway", "SecurityPolicy", "HTTPRoute"}
        await gateway.apply(GatewayState())
        assert not [one for one in await cluster.live(gateway.namespaces) if one["metadata"].get("annotations", {}).get(MODEL)]


@pytest.mark.parametrize("place", ["secrets", "pods", "configmaps", "serviceaccounts"])
def test_and_sees_nothing_else(kubernetes: KubernetesServer, installed: tuple[GatewayProfile, str], place: str) -> None:
    profile, token = installed
    for namespace in (profile.namespace, f"{profile.gateway}-certificates", NAMESPACE):
        with pytest.raises(KubernetesAnswered, match="403"):
            kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/{place}", token=token)
