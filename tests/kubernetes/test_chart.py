"""The chart on a real API server: it takes every object as it is, and RBAC gives the control plane what it needs and nothing more."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from controlplane.kubernetes.render.manifests import KINDS
from tests.support.chart import GOLDEN, Manifest, golden_values, manifests, manifests_of, render
from tests.support.kubernetes import KubernetesServer

NOT_INSTALLED = {"ServiceMonitor"}
"""Their CRD belongs to Prometheus Operator."""


class Resources:
    """Where objects of each kind are, as the server tells."""

    def __init__(self, server: KubernetesServer) -> None:
        self._server = server
        self._known: dict[tuple[str, str], tuple[str, bool]] = {}

    def path(self, one: Manifest) -> str:
        version, metadata = one["apiVersion"], one["metadata"]
        prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if (version, one["kind"]) not in self._known:
            found = [each for each in self._server.call("GET", prefix)["resources"] if "/" not in each["name"]]
            self._known |= {(version, each["kind"]): (each["name"], each["namespaced"]) for each in found}
        plural, namespaced = self._known[version, one["kind"]]
        return f"{prefix}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}" if namespaced else f"{prefix}/{plural}/{metadata['name']}"


@pytest.fixture(scope="module")
def resources(kubernetes_server: KubernetesServer) -> Resources:
    return Resources(kubernetes_server)


def make_namespaces(server: KubernetesServer, objects: list[Manifest]) -> None:
    for name in {one["metadata"]["namespace"] for one in objects if "namespace" in one["metadata"]}:
        server.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@pytest.mark.parametrize("name", GOLDEN)
def test_every_object_is_accepted(name: str, kubernetes: KubernetesServer, resources: Resources) -> None:
    """By dry run, strict: an unknown field is refused."""
    make_namespaces(kubernetes, manifests(name))
    objects = [one for one in manifests(name) if one["kind"] not in NOT_INSTALLED]
    assert len(objects) > 30
    for one in objects:
        path = f"{resources.path(one)}?dryRun=All&fieldManager=tests&fieldValidation=Strict"
        taken = kubernetes.call("PATCH", path, one, content_type="application/apply-patch+yaml")
        assert taken["metadata"]["name"] == one["metadata"]["name"]


# --- rights ---


@pytest.fixture(scope="module")
def places() -> dict[str, str]:
    """Namespaces of their own for this module: rights stay when they are given."""
    return {role: f"{role}-{uuid4().hex[:8]}" for role in ("gateway", "certificates")}


@pytest.fixture
def account(kubernetes: KubernetesServer, resources: Resources, places: dict[str, str]) -> Iterator[str]:
    """The API's ServiceAccount of an installed chart, as RBAC calls it."""
    values = golden_values("aigateway")
    listener = {"name": "https", "port": 443, "certificate": "tls", "certificateNamespace": places["certificates"]}
    values["gateway"]["profile"] |= {"namespace": places["gateway"], "listeners": [listener]}
    objects = [
        one for one in manifests_of(render(values)) if one["kind"] in {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    ]
    make_namespaces(kubernetes, objects)
    for one in objects:
        kubernetes.apply(resources.path(one), one)
    [binding] = [one for one in objects if one["kind"] == "ClusterRoleBinding"]
    [subject] = binding["subjects"]
    yield f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    for one in objects:
        kubernetes.call("DELETE", resources.path(one))


def may(server: KubernetesServer, user: str, verb: str, resource: str, namespace: str = "") -> bool:
    plural, _, group = resource.partition(".")
    about = {"verb": verb, "resource": plural, "group": group, "namespace": namespace}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": user, "resourceAttributes": about}}
    answer: dict[str, Any] = server.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_the_control_plane_may_do_what_it_does_and_nothing_else(
    kubernetes: KubernetesServer, resources: Resources, account: str, places: dict[str, str]
) -> None:
    gateway, certificates = places["gateway"], places["certificates"]
    for version, kind in KINDS:
        one = {"apiVersion": version, "kind": kind, "metadata": {"name": "any", "namespace": gateway}}
        resource = f"{resources.path(one).split('/')[-2]}.{version.partition('/')[0]}"
        namespace = "" if kind == "GatewayClass" else gateway
        for verb in ("get", "list", "watch", "create", "patch", "delete"):
            assert may(kubernetes, account, verb, resource, namespace), (verb, resource)
        assert not may(kubernetes, account, "deletecollection", resource, namespace)
        assert kind == "GatewayClass" or not may(kubernetes, account, "list", resource, "elsewhere")
    assert may(kubernetes, account, "create", "referencegrants.gateway.networking.k8s.io", certificates)
    assert not may(kubernetes, account, "create", "httproutes.gateway.networking.k8s.io", certificates)
    assert may(kubernetes, account, "update", "leases.coordination.k8s.io", gateway)
    assert may(kubernetes, account, "create", "events.events.k8s.io", "default")
    for verb, resource in (
        ("get", "secrets"),
        ("list", "pods"),
        ("create", "pods"),
        ("get", "configmaps"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
        ("create", "serviceaccounts"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ):
        for namespace in ("", gateway, certificates, "default"):
            assert not may(kubernetes, account, verb, resource, namespace), (verb, resource, namespace)
