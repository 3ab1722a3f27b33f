"""Rules of publishing: names, the engine a model is taken from, and how a partial update changes a configuration. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from controlplane.backends.rules import Health
from controlplane.errors import Problem
from controlplane.gateway.bootstrap import Metering
from controlplane.limits.rules import conflict, hold_conflict
from ias.context import AdmissionMode

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered backend as far as choosing one needs it."""

    backend_id: UUID
    name: str
    kind: str
    health: Health
    health_reason: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A backend that a publication goes to, and how much of it."""

    backend: Candidate
    weight: int = 100
    priority: int = 0


def check_name(name: str) -> None:
    """Raise Problem for a name that cannot be published.

    A slash would have to be escaped in `/api/models/{name}/publish`, and escaped slashes are refused at the edge; a
    model whose engine knows it by such a name is published under another one, with `upstreamModel`.
    """
    if "/" in name:
        raise Problem(
            422,
            "invalid_model_name",
            f"The name '{name}' contains '/'. Publish the model under a name without it and give the engine's name as config.upstreamModel.",
        )
    if not _NAME.fullmatch(name):
        raise Problem(
            422,
            "invalid_model_name",
            "The name of a published model has 1 to 128 characters: letters, digits, '.', '_', ':' and '-', the first a letter or digit.",
        )


def detect_type(wanted: str | None, backends: Sequence[Candidate]) -> tuple[str, str]:
    """Return whether a model is `openai` or `traditional`, and why; what is wanted wins over what the backends are."""
    kind, names = backends[0].kind, ", ".join(sorted(backend.name for backend in backends))
    spoken = "OpenAI's API" if kind == "openai" else "KServe's protocol"
    if wanted is None:
        return kind, f"{names} answered its probe in {spoken}"
    return wanted, "config.modelType says so" if wanted == kind else f"config.modelType says so, though {names} answered its probe in {spoken}"


def check_key(model_type: str, require_api_key: bool) -> None:
    """Raise Problem for a model without keys that has tokens to pay."""
    if model_type != "traditional" and not require_api_key:
        raise Problem(422, "API_KEY_REQUIRED", "An OpenAI model is never published without API keys: leave requireApiKey out, or set true.")


def check_limits(values: Mapping[str, Any]) -> None:
    """Raise Problem for limits, or sizes of requests, that make no sense together."""
    if (reason := conflict(values)) is not None:
        raise Problem(422, "invalid_request", f"rateLimiting: {reason}.")
    if (reason := hold_conflict(values["context_tokens"], values["output_cap"])) is not None:
        raise Problem(422, "invalid_request", f"{reason}.")


def check_metering(metering: Metering, model_type: str, name: str, upstream_model: str, mode: AdmissionMode) -> None:
    """Raise Problem for what a gateway that only watches cannot do: it changes no request and ends no answer.

    A traditional model needs neither: it has no tokens to hold, and its engine's name is in the path, which extauth writes.
    """
    if metering == "inline" or model_type == "traditional":
        return
    if mode is not AdmissionMode.LENIENT:
        raise Problem(
            422,
            "SHADOW_ADMISSION_MODE",
            f"This gateway only watches (IAS_METERING=shadow): it can write no cap into a request and end no answer, as '{mode}' needs."
            " Set rateLimiting.admissionMode to 'lenient', or leave it out, or publish on an inline gateway.",
        )
    if upstream_model != name:
        raise Problem(
            422,
            "SHADOW_RENAMED_MODEL",
            f"This gateway only watches (IAS_METERING=shadow): it cannot write the engine's name '{upstream_model}' into requests for '{name}'."
            " Publish the model under the engine's name, or let the engine serve it under this one (vLLM: --served-model-name).",
        )


def default_mode(metering: Metering) -> AdmissionMode:
    """How tokens are held where the publication does not say."""
    return AdmissionMode.LENIENT if metering == "shadow" else AdmissionMode.BALANCED


def default_path(name: str, model_type: str) -> str:
    """Return the path at which clients of the protocol find a model."""
    return f"/models/{name}" if model_type == "traditional" else f"/v1/models/{name}"


def already_published(name: str) -> Problem:
    """The name is taken by a living publication."""
    return Problem(409, "ALREADY_PUBLISHED", f"The model '{name}' is published already. Change it with PUT, or DELETE it first.")


def not_published(name: str, failure: Any = None) -> Problem:
    """There is no living publication of the name; `failure` is the row of the last attempt, when that failed."""
    why = ""
    if failure is not None:
        why = f" The last attempt failed at the step '{failure.status_step}': {failure.status_reason} {failure.status_advice}"
    return Problem(404, "NOT_PUBLISHED", f"The model '{name}' is not published.{why}")


def choose_backend(candidates: Sequence[Candidate], backend: str | None, upstream_model: str) -> Candidate:
    """Return the healthy backend that serves the model, among the one named `backend` or those that told of the model.

    Raises:
        Problem: MODEL_NOT_FOUND when none has it, MODEL_NOT_READY when it does not answer, AMBIGUOUS_BACKEND when
            several have it and none was named.
    """
    if backend is not None:
        if not candidates:
            raise Problem(404, "MODEL_NOT_FOUND", f"There is no backend '{backend}'. Register it with POST /api/backend.")
        _serves(candidates[0], upstream_model)
        return _ready(candidates[0], upstream_model)
    if not candidates:
        raise Problem(404, "MODEL_NOT_FOUND", f"No registered backend serves the model '{upstream_model}'. Register one with POST /api/backend.")
    ready = [candidate for candidate in candidates if candidate.health is Health.HEALTHY]
    if len(ready) > 1:
        names = ", ".join(sorted(candidate.name for candidate in ready))
        raise Problem(409, "AMBIGUOUS_BACKEND", f"Several backends serve the model '{upstream_model}': {names}. Choose one with config.backend.")
    return _ready(ready[0] if ready else candidates[0], upstream_model)


def choose_targets(wanted: Sequence[tuple[Candidate | None, str, int, int]], upstream_model: str) -> list[Chosen]:
    """Return the targets among backends that were looked up by (name, weight, priority), in the order in which they are used.

    One healthy backend is enough: the others are there for when it is not, and may be down now.

    Raises:
        Problem: MODEL_NOT_FOUND for a backend that is not there or does not serve the model, MODEL_NOT_READY when none is
            healthy, INVALID_BACKENDS when one is named twice or they are of several kinds.
    """
    chosen = []
    for candidate, name, weight, priority in wanted:
        if candidate is None:
            raise Problem(404, "MODEL_NOT_FOUND", f"There is no backend '{name}'. Register it with POST /api/backend.")
        _serves(candidate, upstream_model)
        chosen.append(Chosen(candidate, weight, priority))
    if len({one.backend.backend_id for one in chosen}) != len(chosen):
        raise Problem(422, "INVALID_BACKENDS", "config.backends names a backend twice. Give it the sum of both weights once.")
    if len({one.backend.kind for one in chosen}) > 1:
        raise Problem(422, "INVALID_BACKENDS", "All backends of a publication speak one protocol. Publish those of another kind under another name.")
    chosen.sort(key=lambda one: (one.priority, -one.weight, one.backend.name))
    if not any(one.backend.health is Health.HEALTHY for one in chosen):
        _ready(chosen[0].backend, upstream_model)
    return chosen


def _serves(candidate: Candidate, upstream_model: str) -> None:
    # An engine that never answered has no list of models yet: not ready, rather than not there.
    if upstream_model not in candidate.models and (candidate.health is Health.HEALTHY or candidate.models):
        raise Problem(404, "MODEL_NOT_FOUND", f"The backend '{candidate.name}' does not serve the model '{upstream_model}'.")


def _ready(candidate: Candidate, upstream_model: str) -> Candidate:
    if candidate.health is not Health.HEALTHY:
        reason = candidate.health_reason or "it was not probed yet"
        raise Problem(
            409, "MODEL_NOT_READY", f"The model '{upstream_model}' is not ready: backend '{candidate.name}' is {candidate.health} ({reason})."
        )
    return candidate
