"""Engines that are registered by an object in a Kubernetes cluster in place of an address. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ias.gateway_views import ModelType


class EngineKind(StrEnum):
    """Kinds of objects that an engine may be registered by."""

    INFERENCE_SERVICE = "InferenceService"
    LLM_INFERENCE_SERVICE = "LLMInferenceService"
    DEPLOYMENT = "Deployment"
    """Reached by the Service of the same name."""


class EngineReference(msgspec.Struct, frozen=True):
    """An object in the cluster."""

    kind: EngineKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What an object tells of its engine."""

    problem: str
    """Why it is not ready, in the words of the cluster; empty: it is."""
    base_url: str = ""
    """Where requests go, in its canonical form; empty: nobody knows yet."""
    model_type: ModelType | None = None
    """None: nothing tells which protocol it speaks."""
    type_reason: str = ""
    """What tells it."""
    models: tuple[str, ...] = ()
    """Names of its models, as far as the object tells them."""


def stored_reference(reference: EngineReference | None) -> dict[str, str] | None:
    """As the database keeps it."""
    return None if reference is None else {"kind": reference.kind.value, "namespace": reference.namespace, "name": reference.name}


def reference_of(stored: dict[str, str] | None) -> EngineReference | None:
    """From the database."""
    return None if stored is None else EngineReference(EngineKind(stored["kind"]), stored["namespace"], stored["name"])
