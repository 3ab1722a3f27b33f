"""What an engine's list of models tells: OpenAI's `GET /v1/models`, with the fields that vLLM and others add. Pure.

An engine is a stranger: everything that is kept has a bound, and what differs from one call to the next is left out (vLLM makes `created` and the
ids of `permission` anew each time, https://github.com/vllm-project/vllm, `ModelCard`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ias.gateway_views import ModelType

MAX_MODELS = 20_000
MAX_MODEL_NAME = 256
_MAX_TEXT = 256
_MAX_WORDS = 32
_MAX_TOKENS = 10**12
_CONTEXT = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Names of one thing: vLLM, OpenRouter and llama.cpp, Groq, Mistral."""
_OUTPUT = ("max_output_tokens", "max_completion_tokens")
_TEXTS = ("owned_by", "root", "parent")
_PERMISSION = ("allow_create_engine", "allow_sampling", "allow_logprobs", "allow_search_indices", "allow_view", "allow_fine_tuning", "is_blocking")


@dataclass(frozen=True, slots=True)
class Told:
    """What a backend tells of one model."""

    upstream_model: str
    context_tokens: int | None = None
    output_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Models(msgspec.Struct):
    data: list[dict[str, Any]] | None = None
    models: list[str] | None = None
    """KServe's."""


class _Indexed(msgspec.Struct):
    name: str


_decoder = msgspec.json.Decoder(_Models)
_index_decoder = msgspec.json.Decoder(list[_Indexed])


@dataclass(frozen=True, slots=True)
class EngineList:
    """A list of models; whose form it has tells which protocol its engine speaks."""

    told: tuple[Told, ...]
    model_type: ModelType


def read_list(body: bytes) -> EngineList:
    """Read a list of models, in order of name; raise ValueError when it is none or beyond reason.

    OpenAI's is `{"data": [{"id": …}]}`, KServe's (v1 and v2) `{"models": ["…"]}`; who has both speaks OpenAI's protocol.
    """
    try:
        read = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a list of models: {error}") from error
    if read.data is not None:
        return EngineList(_ordered(read.data), ModelType.OPENAI)
    if read.models is not None:
        return EngineList(_ordered([{"id": name} for name in read.models]), ModelType.TRADITIONAL)
    raise ValueError("not a list of models: neither `data` nor `models` is there")


def read_index(body: bytes) -> EngineList:
    """Read Triton's index of its model repository, `[{"name": …, "version": …}]`, an entry for each version; raise ValueError as above.

    Source: the model repository extension of KServe's protocol (`protocol/extension_model_repository.md` of triton-inference-server).
    """
    try:
        read = _index_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not an index of models: {error}") from error
    return EngineList(_ordered([{"id": one.name} for one in read]), ModelType.TRADITIONAL)


def _ordered(entries: list[dict[str, Any]]) -> tuple[Told, ...]:
    if len(entries) > MAX_MODELS:
        raise ValueError(f"more than {MAX_MODELS} models")
    told = {one.upstream_model: one for one in map(_read, entries)}
    return tuple(told[name] for name in sorted(told))


def _read(entry: Mapping[str, Any]) -> Told:
    name = entry.get("id")
    if not isinstance(name, str):
        raise ValueError("not a list of models: a model has no `id`")
    if not 0 < len(name) <= MAX_MODEL_NAME or "\0" in name:
        raise ValueError(f"names of models have 1 to {MAX_MODEL_NAME} characters")
    architecture = entry.get("architecture")
    inputs = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    return Told(
        upstream_model=name,
        context_tokens=_tokens(entry, _CONTEXT),
        output_tokens=_tokens(entry, _OUTPUT),
        capabilities=_words(entry.get("capabilities")),
        modalities=_words(entry.get("modalities") or inputs),
        metadata=_metadata(entry),
    )


def _tokens(entry: Mapping[str, Any], names: Iterable[str]) -> int | None:
    for name in names:
        value = entry.get(name)
        if type(value) is int and 0 < value <= _MAX_TOKENS:
            return value
    return None


def _words(value: Any) -> tuple[str, ...]:
    """A list of words, or an object whose members say yes or no (Mistral)."""
    if isinstance(value, Mapping):
        value = [name for name, has in value.items() if has is True]
    if not isinstance(value, list):
        return ()
    return tuple(sorted({word.lower() for word in value[:_MAX_WORDS] if isinstance(word, str) and word.isprintable() and 0 < len(word) <= 64}))


def _metadata(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: entry[name] for name in _TEXTS if _is_short(entry.get(name))}
    if (longest := _tokens(entry, ("max_model_len",))) is not None:
        kept["max_model_len"] = longest
    permissions = entry.get("permission")
    if isinstance(permissions, list) and permissions and isinstance(permissions[0], Mapping):
        kept["permission"] = {name: permissions[0][name] for name in _PERMISSION if isinstance(permissions[0].get(name), bool)}
    return kept


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT and "\0" not in value
