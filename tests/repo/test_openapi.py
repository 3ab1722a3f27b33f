"""The API's document is in the repository, so that a review sees what a change does to the API. What it says of texts is what the code does."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tools.openapi_doc import PATH, render

DOCUMENT = json.loads(PATH.read_text())
SAYS_WHICH = {"pattern", "format", "enum", "const"}
JUDGED_ELSEWHERE = {
    "cursor": "base64 of an id, or 400",
    "publicHostname": "canonical_hostname",
    "hostnames": "canonical_hostname",
    "externalPath": "canonical_path",
    "baseUrl": "canonical_base_url",
    "input": "a decimal number",
    "cachedInput": "a decimal number",
    "output": "a decimal number",
}
"""Texts whose form a function of ours checks before anything is done with them."""


def test_the_document_is_that_of_the_routes() -> None:
    assert PATH.read_text() == render(), "the API changed: run `make docs`, and read the diff of docs/openapi.json"


def patterns(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for child in node.values():
            yield from patterns(child)
    elif isinstance(node, list):
        for child in node:
            yield from patterns(child)


@pytest.mark.parametrize("pattern", sorted(set(patterns(DOCUMENT))))
def test_a_pattern_means_the_same_to_clients_and_to_us(pattern: str) -> None:
    r"""Classes do not: U+0085 is `\s` in Rust, whose regular expressions check requests here, and is none in ECMA-262, which JSON Schema names."""
    assert not re.search(r"(?<!\\)\\[swdbSWDB]", pattern)


def texts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in schema.get("anyOf", (schema,)):
        if one.get("type") == "string":
            yield one
        elif one.get("type") == "array":
            yield from texts(one["items"])


def schemas_of(node: Any) -> set[str]:
    """The names of all schemas that one refers to."""
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(node)))
    return named.union(*(schemas_of(DOCUMENT["components"]["schemas"][name]) for name in named))


def given_by_strangers() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Parameters of queries, and fields of bodies: paths have ids and names, which a lookup judges."""
    bodies: set[str] = set()
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    yield operation["operationId"], parameter["name"], parameter["schema"]
            bodies |= schemas_of(operation.get("requestBody", {}))
    for name in sorted(bodies):
        for field, schema in DOCUMENT["components"]["schemas"][name].get("properties", {}).items():
            yield name, field, schema


def test_every_text_that_comes_in_says_which_characters_it_may_have() -> None:
    """PostgreSQL takes no NUL: a text that may be any is a 500."""
    free = [
        f"{where}.{name}"
        for where, name, schema in given_by_strangers()
        if name not in JUDGED_ELSEWHERE and any(not SAYS_WHICH & text.keys() for text in texts(schema))
    ]
    assert free == []
