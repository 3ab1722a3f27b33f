"""Backends that are registered by an object of a cluster. What objects mean is tested on a real API server (`tests/kubernetes/test_readiness.py`)."""

from dataclasses import replace

import pytest
from fastapi import FastAPI

from controlplane.backends.ports import ClusterUnavailable
from controlplane.backends.prober_reference import ReferenceProber
from controlplane.backends.references import EngineKind, EngineReference, Readiness
from ias.gateway_views import ModelType
from tests.component.controlplane.world import Person
from tests.support.engine import Engine

IRIS = EngineReference(EngineKind.INFERENCE_SERVICE, "models", "iris")
BY_REFERENCE = {"name": "iris", "kubernetes": {"kind": "InferenceService", "namespace": "models", "name": "iris"}}


class Cluster:
    """Tells of every object what the test says."""

    def __init__(self) -> None:
        self.tells: Readiness | ClusterUnavailable = Readiness("there is no InferenceService models/iris in the cluster")
        self.asked: list[EngineReference] = []

    async def look(self, reference: EngineReference) -> Readiness:
        self.asked.append(reference)
        if isinstance(self.tells, ClusterUnavailable):
            raise self.tells
        return self.tells


@pytest.fixture
def cluster(app: FastAPI) -> Cluster:
    cluster, runtime = Cluster(), app.state.runtime
    prober = ReferenceProber(runtime.probing.prober._http, cluster)
    app.state.runtime = replace(runtime, probing=replace(runtime.probing, prober=prober))
    return cluster


async def refused(person: Person, status: int, body: object, path: str = "/backend") -> dict[str, str]:
    response = await person.call("POST", path, body)
    assert response.status_code == status, response.text
    problem: dict[str, str] = response.json()
    return problem


async def test_what_the_object_tells_is_what_is_known(cluster: Cluster, root: Person, engine_a: Engine) -> None:
    cluster.tells = Readiness("", engine_a.url, ModelType.OPENAI, "modelFormat vllm", ("not-asked-for",))
    made = await root.ok("POST", "/backend", BY_REFERENCE)
    assert (made["baseUrl"], made["health"], made["kind"], made["kindReason"]) == (engine_a.url, "healthy", "openai", "modelFormat vllm")
    assert made["kubernetes"] == BY_REFERENCE["kubernetes"]
    assert sorted(made["models"]) == ["chat", "shared"], "the engine's own list, where it has one"
    assert cluster.asked == [IRIS]


async def test_an_engine_without_a_list_has_the_models_that_its_object_names(cluster: Cluster, root: Person) -> None:
    cluster.tells = Readiness("", "http://127.0.0.1:1", ModelType.TRADITIONAL, "modelFormat sklearn", ("iris",))
    made = await root.ok("POST", "/backend", BY_REFERENCE)
    assert (made["health"], made["kind"], made["models"]) == ("healthy", "traditional", ["iris"])


async def test_a_model_whose_object_is_not_ready_is_not_published_and_the_reason_is_the_clusters(
    cluster: Cluster, root: Person, engine_a: Engine
) -> None:
    problem = "InferenceService models/iris is not ready: RevisionFailed: no GPU left"
    cluster.tells = Readiness(problem, engine_a.url, ModelType.OPENAI)
    assert (await root.ok("POST", "/backend", BY_REFERENCE))["healthReason"] == problem
    answer = await refused(root, 409, {"config": {"tenantId": "alpha", "backend": "iris"}}, "/models/chat/publish")
    assert answer["code"] == "MODEL_NOT_READY"
    assert problem in answer["detail"]


async def test_without_an_address_it_is_not_registered(cluster: Cluster, root: Person) -> None:
    answer = await refused(root, 409, BY_REFERENCE)
    assert answer["code"] == "MODEL_NOT_READY"
    assert "there is no InferenceService models/iris in the cluster" in answer["detail"]
    assert len(cluster.asked) == 1


async def test_it_is_followed_where_it_goes(cluster: Cluster, root: Person, engine_a: Engine, engine_b: Engine) -> None:
    cluster.tells = Readiness("", engine_a.url, ModelType.OPENAI)
    await root.ok("POST", "/backend", BY_REFERENCE)
    cluster.tells = Readiness("", engine_b.url, ModelType.OPENAI)
    moved = await root.ok("POST", "/backend/iris/check")
    assert (moved["baseUrl"], sorted(moved["models"])) == (engine_b.url, ["embed", "shared"])


async def test_while_the_cluster_does_not_answer_the_engine_does(cluster: Cluster, root: Person, engine_a: Engine) -> None:
    cluster.tells = Readiness("", engine_a.url, ModelType.OPENAI)
    await root.ok("POST", "/backend", BY_REFERENCE)
    cluster.tells = ClusterUnavailable("connection refused")
    assert (await root.ok("POST", "/backend/iris/check"))["health"] == "healthy"


async def test_an_address_that_may_not_be_called_is_refused(cluster: Cluster, root: Person) -> None:
    cluster.tells = Readiness("", "http://10.0.0.1:80", ModelType.TRADITIONAL)
    assert (await refused(root, 422, BY_REFERENCE))["code"] == "egress_denied"


async def test_without_a_cluster_the_answer_says_how_to_have_one(root: Person) -> None:
    assert "IAS_GATEWAY=kubernetes" in (await refused(root, 409, BY_REFERENCE))["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "iris"},
        {**BY_REFERENCE, "baseUrl": "http://127.0.0.1:1"},
        {"name": "iris", "kubernetes": {"kind": "Secret", "namespace": "models", "name": "iris"}},
        {"name": "iris", "kubernetes": {"kind": "Deployment", "namespace": "models", "name": "../secrets/x"}},
        {"name": "iris", "kubernetes": {"kind": "Deployment", "namespace": "models/x", "name": "iris"}},
    ],
)
async def test_what_names_no_one_place_is_refused(cluster: Cluster, root: Person, wrong: dict[str, object]) -> None:
    await refused(root, 422, wrong)
    assert cluster.asked == []
