"""What is taken from an engine's list of models, and what is not."""

import json
from typing import Any

import pytest

from controlplane.catalog.engine_list import MAX_MODELS, Told, read_list
from ias.gateway_views import ModelType

VLLM = {
    "id": "meta-llama/Llama-3.1-8B-Instruct",
    "object": "model",
    "created": 1_764_270_000,
    "owned_by": "vllm",
    "root": "meta-llama/Llama-3.1-8B-Instruct",
    "parent": None,
    "max_model_len": 131_072,
    "permission": [
        {"id": "modelperm-1", "object": "model_permission", "created": 1, "allow_sampling": True, "allow_fine_tuning": False, "organization": "*"}
    ],
}


def names(body: bytes) -> tuple[str, ...]:
    return tuple(told.upstream_model for told in read_list(body).told)


def read_one(**fields: Any) -> Told:
    (told,) = read_list(json.dumps({"data": [{"id": "m", **fields}]}).encode()).told
    return told


def test_models_are_read_sorted_and_once() -> None:
    assert names(b'{"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a"}, {"id": "b"}]}') == ("a", "b")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"data": null}', b'{"data": [{"id": ""}]}', b'{"data": [{"id": "a\\u0000"}]}', b'{"data": [{"id": "\xff"}]}'],
    ids=["empty", "html", "array", "null", "empty name", "nul", "not utf-8"],
)
def test_what_is_no_list_of_models_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"models"):
        names(body)


def test_a_list_beyond_reason_is_refused() -> None:
    names = ",".join(f'{{"id": "m{n}"}}' for n in range(MAX_MODELS + 1))
    with pytest.raises(ValueError, match="more than"):
        read_list(f'{{"data": [{names}]}}'.encode())


def test_the_fields_of_vllm_are_kept() -> None:
    (told,) = read_list(json.dumps({"object": "list", "data": [VLLM]}).encode()).told
    assert told.context_tokens == 131_072
    assert told.metadata == {
        "owned_by": "vllm",
        "root": "meta-llama/Llama-3.1-8B-Instruct",
        "max_model_len": 131_072,
        "permission": {"allow_sampling": True, "allow_fine_tuning": False},
    }


def test_what_vllm_makes_anew_at_each_call_is_no_change() -> None:
    later = {**VLLM, "created": 1_764_270_010, "permission": [{**VLLM["permission"][0], "id": "modelperm-2", "created": 2}]}  # type: ignore[index]
    assert read_list(json.dumps({"data": [VLLM]}).encode()) == read_list(json.dumps({"data": [later]}).encode())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"context_length": 8192, "architecture": {"input_modalities": ["Text", "image"]}}, Told("m", 8192, modalities=("image", "text"))),
        ({"context_window": 4096, "max_completion_tokens": 1024}, Told("m", 4096, 1024)),
        ({"capabilities": {"completion_chat": True, "vision": False}}, Told("m", capabilities=("completion_chat",))),
        ({"capabilities": ["completion"], "modalities": ["text"]}, Told("m", capabilities=("completion",), modalities=("text",))),
    ],
    ids=["OpenRouter", "Groq", "Mistral", "llama.cpp"],
)
def test_what_others_call_the_same(fields: dict[str, Any], expected: Told) -> None:
    assert read_one(**fields) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"max_model_len": -1},
        {"max_model_len": True},
        {"max_model_len": 10**30},
        {"max_model_len": "8192"},
        {"max_model_len": 1.5},
        {"root": "x" * 10_000},
        {"root": "a\u0000b"},
        {"root": {"deep": [1]}},
        {"capabilities": "chat"},
        {"capabilities": [1, {}, "", "x" * 100]},
        {"modalities": {"text": "yes"}},
        {"permission": ["x"]},
        {"architecture": []},
    ],
    ids=str,
)
def test_nonsense_is_left_out(fields: dict[str, Any]) -> None:
    assert read_one(**fields) == Told("m")


@pytest.mark.parametrize(
    ("body", "names", "model_type"),
    [
        (b'{"models":["iris","fraud"]}', ("fraud", "iris"), ModelType.TRADITIONAL),
        (b'{"models":[]}', (), ModelType.TRADITIONAL),
        (b'{"data":[{"id":"llama"}]}', ("llama",), ModelType.OPENAI),
        (b'{"data":[{"id":"llama"}],"models":["x"]}', ("llama",), ModelType.OPENAI),
    ],
)
def test_the_form_of_the_list_tells_the_protocol(body: bytes, names: tuple[str, ...], model_type: ModelType) -> None:
    read = read_list(body)
    assert (tuple(told.upstream_model for told in read.told), read.model_type) == (names, model_type)


@pytest.mark.parametrize("body", [b"{}", b'{"models":[1]}', b'{"models":[""]}', b'{"models":"iris"}'])
def test_a_list_of_kserve_is_judged_as_strictly(body: bytes) -> None:
    with pytest.raises(ValueError, match="models"):
        read_list(body)
