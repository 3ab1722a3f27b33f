"""What the canary asks, and what the answers mean. Pure.

The requests are the cheapest ones that only the model itself can answer well: one token of output, one word to embed.
An engine that does not know an endpoint says so with a 4xx of its own, and the next is asked; only a success proves the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from controlplane.documentation.schemas import Kind

TAG = "canary=publish"
"""In `x-request-tags` of its requests: their events can be told from tenants'."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One request to ask with. `body` is JSON, None: a GET."""

    name: str
    path: str
    body: dict[str, Any] | None


class Seen(StrEnum):
    """What an answer means."""

    REACHED = "reached"
    """The model has answered."""
    LIMITED = "limited"
    """Its own limits let nothing through: it is known, and its key opens it, but the way to the engine is not proven."""
    NOT_YET = "not yet"
    """The data plane has not heard of the model or the key, or has no healthy engine yet."""
    OTHER = "other"
    """The engine does not do this; another request may tell."""
    FAILED = "failed"


def probes(kind: Kind, model: str) -> Sequence[Probe]:
    """Return the requests to try in order, the likeliest first."""
    if kind == "traditional":
        # It has no input that all models take, but each tells of itself.
        return [Probe("metadata (v2)", f"/v2/models/{model}", None), Probe("metadata (v1)", f"/v1/models/{model}", None)]
    chat = Probe("chat", "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "."}], "max_tokens": 1})
    embeddings = Probe("embeddings", "/v1/embeddings", {"model": model, "input": "."})
    return [
        *([embeddings, chat] if kind == "embeddings" else [chat, embeddings]),
        Probe("completions", "/v1/completions", {"model": model, "prompt": ".", "max_tokens": 1}),
    ]


def meaning_without_key(status: int, code: str) -> Seen:
    """Tell what an answer to a request without a key means; REACHED: it was turned away for that.

    A gateway that does not know the path yet has just been made: Envoy Gateway has accepted its routes, and Envoy takes them a moment later.
    """
    if status == 401:
        return Seen.REACHED
    return Seen.NOT_YET if (status, code) == (404, "unknown_url") else Seen.FAILED


def meaning(status: int, code: str) -> Seen:
    """Tell what an answer to a request with the key means; `code` is that of an error of ours."""
    if status < 300:
        return Seen.REACHED
    if status == 429:
        return Seen.LIMITED
    if status in {401, 403, 503} or (status == 404 and code == "model_not_found"):
        return Seen.NOT_YET
    if status in {400, 404, 405, 422, 501}:
        return Seen.OTHER
    return Seen.FAILED


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str = ""


class _Body(msgspec.Struct):
    error: _Error | str | None = None


def read_error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error body, empty where there is none that can be read."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "", ""
    if isinstance(error, _Error):
        return str(error.code or ""), error.message
    return "", error or ""
