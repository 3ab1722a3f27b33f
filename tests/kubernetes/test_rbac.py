"""The rules in `controlplane/kubernetes/rbac.py` are enough for all that the reconciler does, and each of them is needed."""

from collections.abc import Iterator
from contextlib import aclosing

import pytest

from controlplane.gateway.ports import GatewayRejected, GatewayState
from controlplane.kubernetes import rbac
from controlplane.kubernetes.api import KubernetesApi, open_api
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.events import Event, KubernetesEvents
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway
from controlplane.kubernetes.leader import Leader
from controlplane.kubernetes.objects import CLUSTER_SCOPED, KINDS, path_of
from tests.kubernetes.test_gateway import profile_in, route_of, state_of, versions
from tests.support.kubernetes import KubernetesAnswered, KubernetesServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def account(server: KubernetesServer, namespace: str) -> str:
    """A service account with our rules and no others; its token."""
    kinds = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    who = [{"kind": "ServiceAccount", "name": "ias", "namespace": namespace}]
    server.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "ias"}})
    server.call(
        "POST", f"{RBAC}/namespaces/{namespace}/roles", {**kinds, "kind": "Role", "metadata": {"name": "ias"}, "rules": rbac.namespace_rules()}
    )
    server.call("POST", f"{RBAC}/clusterroles", {**kinds, "kind": "ClusterRole", "metadata": {"name": namespace}, "rules": rbac.cluster_rules()})
    for path, kind, name in (("rolebindings", "Role", "ias"), ("clusterrolebindings", "ClusterRole", namespace)):
        place = f"{RBAC}/namespaces/{namespace}" if kind == "Role" else RBAC
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        server.call("POST", f"{place}/{path}", {**kinds, "metadata": {"name": namespace}, "roleRef": reference, "subjects": who})
    asked = server.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/ias/token", {"spec": {"expirationSeconds": 3600}})
    return str(asked["status"]["token"])


@pytest.fixture
def token(kubernetes: KubernetesServer, namespace: str) -> Iterator[str]:
    yield account(kubernetes, namespace)
    kubernetes.call("DELETE", f"{RBAC}/clusterrolebindings/{namespace}")
    kubernetes.call("DELETE", f"{RBAC}/clusterroles/{namespace}")


async def test_they_are_enough(kubernetes: KubernetesServer, namespace: str, token: str) -> None:
    async with open_api(kubernetes.kubeconfig(token)) as api:
        cluster = KubernetesCluster(api, namespace, namespace)
        gateway = KubernetesGateway(cluster, profile_in(namespace), confirm_s=0)
        await gateway.apply(state_of("llama", "qwen"))
        await gateway.apply(state_of("qwen"))
        key = route_of(await versions(cluster, namespace), "qwen")
        assert await cluster.find(key)
        await _watched(cluster, namespace, gateway)
        leader = Leader(api, namespace, "ias", "one", 5.0)
        assert await leader._take()
        assert await leader._take()
        await KubernetesEvents(api, "one").tell(Event(key, True, "Conflict", "kubectl-edit owns it"))
        events = kubernetes.call("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
        assert [(event["reason"], event["regarding"]["name"]) for event in events] == [("Conflict", key.name)]


async def _watched(cluster: KubernetesCluster, namespace: str, gateway: KubernetesGateway) -> None:
    async with aclosing(cluster.watch({namespace})) as events:
        async for kind, manifest in events:
            if (kind, manifest["kind"]) == ("ADDED", "HTTPRoute"):
                await gateway.apply(GatewayState())  # the model goes
            if (kind, manifest["kind"]) == ("DELETED", "HTTPRoute"):
                return


async def test_they_are_for_nothing_else(kubernetes: KubernetesServer, namespace: str, token: str) -> None:
    other = kubernetes.make_namespace()
    forbidden = [
        ("GET", f"/api/v1/namespaces/{namespace}/secrets"),
        ("GET", f"/api/v1/namespaces/{namespace}/pods"),
        ("GET", f"/api/v1/namespaces/{namespace}/configmaps"),
        ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
        ("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/ias"),
        ("GET", f"{RBAC}/clusterroles"),
        *(("GET", path_of(version, kind, other)) for version, kind in KINDS if kind not in CLUSTER_SCOPED),
        *(("DELETE", path_of(version, kind, namespace)) for version, kind in KINDS if kind not in CLUSTER_SCOPED),  # all of a kind at once
    ]
    for method, path in forbidden:
        with pytest.raises(KubernetesAnswered, match="403"):
            kubernetes.call(method, path, token=token)


@pytest.mark.parametrize("rule", range(len(rbac.namespace_rules())))
async def test_each_group_is_needed_and_its_lack_is_told(kubernetes: KubernetesServer, namespace: str, token: str, rule: int) -> None:
    rules = rbac.namespace_rules()
    lacking = rules.pop(rule)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "ias"}, "rules": rules}
    kubernetes.call("PUT", f"{RBAC}/namespaces/{namespace}/roles/ias", role)
    async with open_api(kubernetes.kubeconfig(token)) as api:
        group, resource = lacking["apiGroups"][0], lacking["resources"][0]
        with pytest.raises(GatewayRejected, match=f"does not let us .*{group}.* is forbidden"):
            await _use(api, namespace, group, resource)


async def _use(api: KubernetesApi, namespace: str, group: str, resource: str) -> None:
    if resource == "leases":
        await api.call("GET", f"/apis/{group}/v1/namespaces/{namespace}/leases/ias")
    elif resource == "events":
        await api.call("POST", f"/apis/{group}/v1/namespaces/{namespace}/events", {})
    else:
        await KubernetesGateway(KubernetesCluster(api, namespace, namespace), profile_in(namespace), confirm_s=0).apply(GatewayState())
