"""What conditions, addresses and contents of KServe's objects and Deployments mean for an engine."""

from typing import Any

import pytest

from controlplane.backends.references import Readiness
from controlplane.kubernetes.engine_kind import MODEL_TYPE, engine_of
from controlplane.kubernetes.kserve_status import readiness_of, service_of
from ias.gateway_views import ModelType

Json = dict[str, Any]
OPENAI, TRADITIONAL = ModelType.OPENAI, ModelType.TRADITIONAL
READY = {"type": "Ready", "status": "True"}
INSIDE = {"address": {"url": "http://iris-predictor.models.svc.cluster.local"}, "url": "http://iris.models.example.com"}


def inference_service(model: Json | None = None, status: Json | None = None, **metadata: Any) -> Json:
    predictor = {"model": {"modelFormat": {"name": "sklearn"}, **(model or {})}}
    return _object("InferenceService", {"predictor": predictor}, status, **metadata)


def deployment(*words: str, status: Json | None = None, replicas: int = 1, **metadata: Any) -> Json:
    container = {"name": "engine", "image": "docker.io/vllm/vllm-openai:v0.11", "args": list(words)}
    return _object("Deployment", {"replicas": replicas, "template": {"spec": {"containers": [container]}}}, status, **metadata)


def _object(kind: str, spec: Json, status: Json | None, **metadata: Any) -> Json:
    return {"kind": kind, "metadata": {"name": "iris", "namespace": "models", **metadata}, "spec": spec, **({"status": status} if status else {})}


def conditions(*given: Json, **more: Any) -> Json:
    return {"conditions": list(given), **more}


def test_a_ready_inference_service() -> None:
    assert readiness_of(inference_service(status=conditions(READY, **INSIDE))) == Readiness(
        "", "http://iris-predictor.models.svc.cluster.local:80", TRADITIONAL, "modelFormat sklearn", ("iris",)
    )


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (inference_service(), "has no conditions yet: its controller has not looked at it, or does not run"),
        (inference_service(status=conditions({"type": "PredictorReady", "status": "True"})), "has no condition Ready yet"),
        (
            inference_service(status=conditions({"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "no GPU left"})),
            "is not ready: RevisionFailed: no GPU left",
        ),
        (
            inference_service(
                status=conditions(
                    {"type": "Ready", "status": "False", "reason": "PredictorNotReady"},
                    {"type": "PredictorReady", "status": "False", "reason": "Pulling", "message": "image not found"},
                )
            ),
            "is not ready: PredictorNotReady; PredictorReady: Pulling: image not found",
        ),
        (
            inference_service(
                status=conditions(
                    {"type": "Ready", "status": "False", "reason": "X", "message": "m"},
                    modelStatus={"lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such bucket"}},
                )
            ),
            "is not ready: X: m; ModelLoadFailed: no such bucket",
        ),
        (inference_service(status=conditions({"type": "Ready", "status": "Unknown"})), "is not ready: Ready is Unknown"),
        (inference_service(status=conditions(READY, observedGeneration=1), generation=2), "was changed, and its controller has not taken that yet"),
        (inference_service(status=conditions(READY), deletionTimestamp="2026-11-27T00:00:00Z"), "is being deleted"),
    ],
)
def test_what_is_not_ready_says_why(manifest: Json, problem: str) -> None:
    assert readiness_of(manifest).problem == f"InferenceService models/iris {problem}"


def test_a_long_message_is_cut() -> None:
    failed = {"type": "Ready", "status": "False", "reason": "X", "message": "m" * 10_000}
    assert len(readiness_of(inference_service(status=conditions(failed))).problem) < 600


@pytest.mark.parametrize(
    ("status", "base_url", "problem"),
    [
        ({"url": "https://iris.example.com"}, "https://iris.example.com:443", ""),
        ({"address": {}}, "", "it has no address yet"),
        ({"url": "http://gateway/models/iris"}, "", "its address http://gateway/models/iris has a path, or is none that requests can be sent to"),
        ({"address": {"url": "http://gateway/models/iris"}, "url": "http://iris.example.com:8080/"}, "http://iris.example.com:8080", ""),
        ({"addresses": [{"url": "http://10.0.0.1:8000"}]}, "http://10.0.0.1:8000", ""),
    ],
)
def test_the_address_is_one_that_requests_can_be_sent_to(status: Json, base_url: str, problem: str) -> None:
    found = readiness_of(inference_service(status=conditions(READY, **status)))
    assert (found.base_url, found.problem) == (base_url, problem)


def service(*ports: Json) -> Json:
    return {"kind": "Service", "metadata": {"name": "iris", "namespace": "models"}, "spec": {"ports": list(ports)}}


AVAILABLE = conditions({"type": "Available", "status": "True"})


@pytest.mark.parametrize(
    ("ports", "base_url", "problem"),
    [
        ([{"port": 8000}], "http://iris.models.svc.cluster.local:8000", ""),
        ([{"name": "https", "port": 8443}], "https://iris.models.svc.cluster.local:8443", ""),
        ([{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}], "http://iris.models.svc.cluster.local:80", ""),
        ([{"name": "a", "port": 1}, {"name": "b", "port": 2}], "", "Service models/iris has 2 ports, and not one whose name begins with http"),
        ([], "", "Service models/iris has 0 ports, and not one whose name begins with http"),
    ],
)
def test_a_deployment_is_reached_by_its_service(ports: list[Json], base_url: str, problem: str) -> None:
    found = readiness_of(deployment("--served-model-name", "qwen", status=AVAILABLE), service(*ports))
    assert (found.base_url, found.problem) == (base_url, problem)
    assert (found.model_type, found.models) == (OPENAI, ("qwen",))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (deployment(status=AVAILABLE), "there is no Service models/iris in front of the Deployment"),
        (deployment(status=AVAILABLE, replicas=0), "Deployment models/iris is scaled to 0 replicas"),
        (
            deployment(status=conditions({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"})),
            "Deployment models/iris is not ready: MinimumReplicasUnavailable",
        ),
    ],
)
def test_a_deployment_that_cannot_be_used(manifest: Json, problem: str) -> None:
    assert readiness_of(manifest).problem == problem


def test_an_llm_inference_service_behind_a_path_is_reached_by_its_workload() -> None:
    workload = {"workloads": {"service": {"kind": "Service", "name": "iris-kserve-workload-svc"}}}
    llm = _object("LLMInferenceService", {"model": {"uri": "hf://q/q", "name": "q/q"}}, conditions(READY, url="http://gw/models/iris", **workload))
    assert service_of(llm) == "iris-kserve-workload-svc"
    behind = {"metadata": {"name": "iris-kserve-workload-svc", "namespace": "models"}, "spec": {"ports": [{"name": "https", "port": 8000}]}}
    found = readiness_of(llm, behind)
    assert (found.base_url, found.problem) == ("https://iris-kserve-workload-svc.models.svc.cluster.local:8000", "")
    assert (found.model_type, found.models) == (OPENAI, ("q/q",))


@pytest.mark.parametrize(
    ("manifest", "model_type", "reason"),
    [
        (inference_service(labels={MODEL_TYPE: "openai"}), OPENAI, f"label {MODEL_TYPE}: openai"),
        (inference_service(labels={MODEL_TYPE: "nonsense"}), TRADITIONAL, "modelFormat sklearn"),
        (inference_service({"modelFormat": {"name": "huggingface"}}), OPENAI, "modelFormat huggingface"),
        (inference_service({"modelFormat": {"name": "huggingface"}, "args": ["--task=fill_mask"]}), TRADITIONAL, "argument --task=fill_mask"),
        (
            inference_service({"modelFormat": {"name": "huggingface"}, "args": ["--task", "text_generation"]}),
            OPENAI,
            "argument --task=text_generation",
        ),
        (inference_service({"modelFormat": {"name": "own"}, "runtime": "kserve-mlserver"}), TRADITIONAL, "it runs kserve-mlserver"),
        (inference_service({"modelFormat": {"name": "own"}}, conditions(READY, clusterServingRuntimeName="vllm-cuda")), OPENAI, "it runs vllm-cuda"),
        (_object("InferenceService", {"predictor": {"xgboost": {"storageUri": "s3://x"}}}, None), TRADITIONAL, "modelFormat xgboost"),
        (
            _object("InferenceService", {"predictor": {"containers": [{"image": "ghcr.io/sgl/sglang:1"}]}}, None),
            OPENAI,
            "it runs ghcr.io/sgl/sglang:1",
        ),
        (deployment(), OPENAI, "it runs docker.io/vllm/vllm-openai:v0.11"),
        (
            _object("Deployment", {"template": {"spec": {"containers": [{"image": "own:1"}]}}}, None),
            None,
            "neither label, modelFormat, runtime, image nor arguments tell what it speaks",
        ),
    ],
)
def test_what_an_engine_speaks_and_what_tells_it(manifest: Json, model_type: ModelType | None, reason: str) -> None:
    found = engine_of(manifest)
    assert (found.model_type, found.reason) == (model_type, reason)


@pytest.mark.parametrize(
    ("manifest", "models"),
    [
        (inference_service(), ("iris",)),
        (inference_service({"args": ["--model_name=flowers"]}), ("flowers",)),
        (deployment(), ()),
        (deployment("--model", "q/q", "--served-model-name=qwen"), ("qwen",)),
        (_object("LLMInferenceService", {"model": {"uri": "hf://q/q"}}, None), ("iris",)),
    ],
)
def test_how_its_models_are_called(manifest: Json, models: tuple[str, ...]) -> None:
    assert engine_of(manifest).models == models
