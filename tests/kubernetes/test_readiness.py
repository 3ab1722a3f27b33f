"""Engines by reference, on a real API server: KServe's CRDs as they are, and status as its controller would write it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.backends.ports import ClusterUnavailable
from controlplane.backends.references import EngineKind, EngineReference
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.kserve_status import API_VERSIONS
from controlplane.kubernetes.objects import path_of
from controlplane.kubernetes.rbac import engine_rules
from controlplane.kubernetes.readiness import KubernetesEngineObjects
from ias.gateway_views import ModelType
from tests.support.kubernetes import KubernetesServer

pytestmark = pytest.mark.usefixtures("kserve_crds")
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-27T00:00:00Z"}
CONTAINER = {"name": "vllm", "image": "vllm/vllm-openai:v0.11", "args": ["--served-model-name", "qwen"]}
LABELS = {"app": "qwen"}


@pytest.fixture
async def engines(kubernetes: KubernetesServer, namespace: str) -> AsyncIterator[KubernetesEngineObjects]:
    """As an account that may look at engines in the test's namespace, and nothing else."""
    async with open_api(kubernetes.kubeconfig(_token(kubernetes, namespace))) as api:
        yield KubernetesEngineObjects(api)


def _token(server: KubernetesServer, namespace: str) -> str:
    kinds, place = {"apiVersion": "rbac.authorization.k8s.io/v1"}, f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    named = {"metadata": {"name": "ias"}}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    server.call("POST", account, named)
    server.call("POST", f"{place}/roles", {**kinds, **named, "rules": engine_rules()})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ias"}
    who = [{"kind": "ServiceAccount", "name": "ias", "namespace": namespace}]
    server.call("POST", f"{place}/rolebindings", {**kinds, **named, "roleRef": role, "subjects": who})
    return str(server.call("POST", f"{account}/ias/token", {"spec": {"expirationSeconds": 3600}})["status"]["token"])


class Place:
    """Makes objects in one namespace, and writes their status."""

    def __init__(self, server: KubernetesServer, namespace: str) -> None:
        self._server = server
        self.namespace = namespace

    def make(self, kind: EngineKind, name: str, spec: dict[str, Any]) -> EngineReference:
        self._apply(API_VERSIONS[kind], kind, name, spec)
        return EngineReference(kind, self.namespace, name)

    def make_service(self, name: str, port_name: str) -> None:
        self._apply("v1", "Service", name, {"ports": [{"name": port_name, "port": 8000}], "selector": LABELS})

    def report(self, reference: EngineReference, status: dict[str, Any]) -> None:
        path = path_of(API_VERSIONS[reference.kind], reference.kind, reference.namespace, reference.name)
        self._server.call("PATCH", f"{path}/status", {"status": status}, content_type="application/merge-patch+json")

    def _apply(self, api_version: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}
        self._server.apply(path_of(api_version, kind, self.namespace, name), manifest)


@pytest.fixture
def place(kubernetes: KubernetesServer, namespace: str) -> Place:
    return Place(kubernetes, namespace)


async def test_an_inference_service_from_nothing_to_ready(engines: KubernetesEngineObjects, place: Place) -> None:
    iris = place.make(
        EngineKind.INFERENCE_SERVICE, "iris", {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris"}}}
    )
    found = await engines.look(iris)
    assert found.problem == f"{iris} has no conditions yet: its controller has not looked at it, or does not run"
    place.report(iris, {"conditions": [{**READY, "status": "False", "reason": "PredictorNotReady", "message": "0 of 1 pods are ready"}]})
    assert (await engines.look(iris)).problem == f"{iris} is not ready: PredictorNotReady: 0 of 1 pods are ready"
    url = f"http://iris-predictor.{place.namespace}.svc.cluster.local"
    place.report(iris, {"conditions": [READY], "address": {"url": url}, "url": "http://iris.example.com"})
    found = await engines.look(iris)
    assert (found.problem, found.base_url) == ("", f"{url}:80")
    assert (found.model_type, found.type_reason, found.models) == (ModelType.TRADITIONAL, "modelFormat sklearn", ("iris",))


async def test_an_llm_inference_service_behind_its_gateway(engines: KubernetesEngineObjects, place: Place) -> None:
    qwen = place.make(EngineKind.LLM_INFERENCE_SERVICE, "qwen", {"model": {"uri": "hf://Qwen/Qwen3-8B", "name": "Qwen/Qwen3-8B"}})
    place.make_service("qwen-workload", "https")
    workload = {"service": {"apiGroup": "", "kind": "Service", "name": "qwen-workload"}}
    place.report(qwen, {"conditions": [READY], "url": f"http://gateway.example.com/{place.namespace}/qwen", "workloads": workload})
    found = await engines.look(qwen)
    assert (found.problem, found.base_url) == ("", f"https://qwen-workload.{place.namespace}.svc.cluster.local:8000")
    assert (found.model_type, found.models) == (ModelType.OPENAI, ("Qwen/Qwen3-8B",))


async def test_a_deployment_of_vllm_with_its_service(engines: KubernetesEngineObjects, place: Place) -> None:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
    vllm = place.make(EngineKind.DEPLOYMENT, "qwen", {"selector": {"matchLabels": LABELS}, "template": template})
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."}
    place.report(vllm, {"observedGeneration": 1, "conditions": [available], "replicas": 1, "availableReplicas": 1, "readyReplicas": 1})
    assert (await engines.look(vllm)).problem == f"there is no Service {place.namespace}/qwen in front of the Deployment"
    place.make_service("qwen", "http")
    found = await engines.look(vllm)
    assert (found.problem, found.base_url) == ("", f"http://qwen.{place.namespace}.svc.cluster.local:8000")
    assert (found.model_type, found.models) == (ModelType.OPENAI, ("qwen",))


async def test_what_is_not_there_is_no_error(engines: KubernetesEngineObjects, place: Place) -> None:
    nothing = EngineReference(EngineKind.INFERENCE_SERVICE, place.namespace, "nothing")
    assert (await engines.look(nothing)).problem == f"there is no {nothing} in the cluster"


async def test_what_we_may_not_look_at_is_said(engines: KubernetesEngineObjects) -> None:
    found = await engines.look(EngineReference(EngineKind.DEPLOYMENT, "default", "x"))
    assert found.problem.startswith("the cluster does not let us GET /apis/apps/v1/namespaces/default/deployments/x")


async def test_an_api_server_that_is_away_says_nothing_of_the_engine(engines: KubernetesEngineObjects, kubernetes: KubernetesServer) -> None:
    kubernetes.kill_api()
    with pytest.raises(ClusterUnavailable):
        await engines.look(EngineReference(EngineKind.DEPLOYMENT, "default", "x"))
