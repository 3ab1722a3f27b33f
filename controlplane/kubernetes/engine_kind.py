"""Which protocol the engine behind an object speaks, what tells it, and how its models are called. Pure.

A label of ours decides; then what the object runs. What could be either is not guessed: the engine's own list of models tells then.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.kubernetes.objects import Json
from ias.gateway_views import ModelType

MODEL_TYPE = "ias.dev/model-type"
"""A label: `openai` or `traditional`."""
_FORMATS = {
    **dict.fromkeys(("vllm", "huggingface"), ModelType.OPENAI),
    **dict.fromkeys(
        (
            "sklearn",
            "xgboost",
            "lightgbm",
            "catboost",
            "onnx",
            "tensorflow",
            "pytorch",
            "torchscript",
            "triton",
            "tensorrt",
            "paddle",
            "pmml",
            "mlflow",
        ),
        ModelType.TRADITIONAL,
    ),
}
"""`modelFormat` of KServe, and the older fields of the predictor with the same names."""
_PROGRAMS = (
    (re.compile(r"vllm|sglang|text-generation|huggingfaceserver"), ModelType.OPENAI),
    (re.compile(r"mlserver|triton|sklearnserver|xgbserver|lgbserver|torchserve|paddleserver|tensorflow/serving"), ModelType.TRADITIONAL),
)
"""What names of runtimes, images and commands say."""
_TASKS = frozenset({"text_generation", "text2text_generation"})
"""Tasks of KServe's Hugging Face server that speak OpenAI's API; others are traditional (https://kserve.github.io/website, Hugging Face)."""
_NAMES = ("--served-model-name", "--served_model_name", "--model_name", "--model-name")


@dataclass(frozen=True, slots=True)
class Engine:
    """`model_type` None: nothing tells it."""

    model_type: ModelType | None
    reason: str
    models: tuple[str, ...]


def engine_of(manifest: Json) -> Engine:
    """Tell what an InferenceService, an LLMInferenceService or a Deployment runs."""
    model_type, reason = _by_label(manifest) or _by_content(manifest)
    return Engine(model_type, reason, _models(manifest))


def _by_label(manifest: Json) -> tuple[ModelType, str] | None:
    label = (manifest["metadata"].get("labels") or {}).get(MODEL_TYPE)
    return (ModelType(label), f"label {MODEL_TYPE}: {label}") if label in list(ModelType) else None


def _by_content(manifest: Json) -> tuple[ModelType | None, str]:
    if manifest["kind"] == "LLMInferenceService":
        return ModelType.OPENAI, "an LLMInferenceService speaks OpenAI's API"
    words = [word for container in _containers(manifest) for word in _words(container)]
    if (task := _option(words, ("--task",))) is not None:
        return (ModelType.OPENAI if task in _TASKS else ModelType.TRADITIONAL), f"argument --task={task}"
    name = _format(manifest)
    if name in _FORMATS:
        return _FORMATS[name], f"modelFormat {name}"
    for word in (*_runtimes(manifest), *words):
        for pattern, model_type in _PROGRAMS:
            if pattern.search(word.lower()):
                return model_type, f"it runs {word[:100]}"
    return None, "neither label, modelFormat, runtime, image nor arguments tell what it speaks"


def _models(manifest: Json) -> tuple[str, ...]:
    """By its arguments, else by the rule of its kind: a Deployment has none."""
    words = [word for container in _containers(manifest) for word in _words(container)]
    if (named := _option(words, _NAMES)) is not None:
        return (named,)
    if manifest["kind"] == "LLMInferenceService":
        return (str(manifest["spec"].get("model", {}).get("name") or manifest["metadata"]["name"]),)
    if manifest["kind"] == "InferenceService":
        return (str(manifest["metadata"]["name"]),)
    return ()


def _predictor(manifest: Json) -> Json:
    return manifest["spec"].get("predictor") or {} if manifest["kind"] == "InferenceService" else {}


def _format(manifest: Json) -> str:
    predictor = _predictor(manifest)
    name = ((predictor.get("model") or {}).get("modelFormat") or {}).get("name")
    return str(name or next((old for old in _FORMATS if old in predictor), "")).lower()


def _runtimes(manifest: Json) -> Iterator[str]:
    status = manifest.get("status") or {}
    chosen = (_predictor(manifest).get("model") or {}).get("runtime")
    return (str(name) for name in (chosen, status.get("servingRuntimeName"), status.get("clusterServingRuntimeName")) if name)


def _containers(manifest: Json) -> list[Json]:
    if manifest["kind"] == "Deployment":
        return list(manifest["spec"]["template"]["spec"].get("containers") or ())
    if manifest["kind"] == "LLMInferenceService":
        return list((manifest["spec"].get("template") or {}).get("containers") or ())
    predictor = _predictor(manifest)
    models = [predictor["model"]] if predictor.get("model") else [predictor[old] for old in _FORMATS if predictor.get(old)]
    return [*models, *(predictor.get("containers") or ())]


def _words(container: Json) -> list[str]:
    return [str(word) for word in (container.get("image"), *(container.get("command") or ()), *(container.get("args") or ())) if word]


def _option(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option, written `--name value` or `--name=value`."""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else next(iter(words[at + 1 : at + 2]), None)
    return None
