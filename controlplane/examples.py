"""Examples for OpenAPI, made from the schemas themselves, so that every body has one and none grows stale. Pure.

What a field looks like follows from its name in the API (below) or its format; a field that is unlike the others of its name says
so by `Field(examples=[…])`.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_BY_FORMAT = {
    "date-time": "2030-01-01T00:00:00Z",
    "uuid": "01970000-0000-7000-8000-000000000000",
    "password": "correct horse battery staple",
}
_BY_NAME: dict[str, Any] = {
    "actionType": "key.create",
    "address": "192.0.2.7",
    "allowedModels": ["llama-3-*"],
    "allowedTenants": ["acme"],
    "apiKey": "ias_live_0a1B2c3DxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxYYYYYY",
    "apiKeyHint": "ias_live_0a1B2c3D…",
    "backend": "gpu-pool",
    "baseUrl": "http://127.0.0.1:8000",
    "clientAddress": "192.0.2.7",
    "email": "ada@example.com",
    "endpoint": "https://api.example.com/v1",
    "externalPath": "/models/llama-3-8b",
    "hint": "ias_live_0a1B2c3D…",
    "httpStatus": 200,
    "model": "llama-3-8b",
    "modelName": "llama-3-8b",
    "modelType": "openai",
    "models": ["llama-3-8b"],
    "name": "production-app",
    "payload": {"path": "/api/key", "body": {"name": "production-app"}},
    "publicHostname": "api.example.com",
    "requestId": "8f14e45f-ceea-467f-a8b7-0d1c2e3f4a5b",
    "request_id": "8f14e45f-ceea-467f-a8b7-0d1c2e3f4a5b",
    "slug": "acme",
    "status": "active",
    "tags": {"team": "search"},
    "tenantId": "acme",
    "threshold": 80,
    "thresholds": [50, 80, 100],
    "upstreamModel": "meta-llama/Meta-Llama-3-8B-Instruct",
    "username": "ada",
}
_BY_TYPE: dict[str, Any] = {"boolean": False, "integer": 1, "number": 0.5, "null": None, "object": {}}


class NoExample(Exception):
    """A schema from which no example can be made; the message says where."""


def example_of(schema: Schema, schemas: Schema, *, request: bool) -> Any:
    """Return an example of a schema. In a request only what must be given, and what has an example of its own. Raises NoExample."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, request=request)
    given = [*schema.get("examples", ()), *schema.get("enum", ()), schema.get("const", schema.get("default"))]
    if given[0] is not None:
        return given[0]
    if "properties" in schema:
        return _object(schema, schemas, request=request)
    if choices := schema.get("anyOf", schema.get("oneOf", schema.get("allOf"))):
        return example_of(choices[0], schemas, request=request)
    return _plain(schema, schemas, request=request)


def example_of_field(name: str, schema: Schema, schemas: Schema, *, request: bool) -> Any:
    """The same for a field or a parameter, whose name says more than its type. Raises NoExample."""
    if name in _BY_NAME and "examples" not in schema and _takes(schema, _BY_NAME[name]):
        return _BY_NAME[name]
    return example_of(schema, schemas, request=request)


_TYPES = {str: "string", int: "integer", list: "array", dict: "object"}


def _takes(schema: Schema, value: Any) -> bool:
    """Whether a schema is of a value's type, and leaves the choice of the value open."""
    plain = [one for one in schema.get("anyOf", (schema,)) if one.get("type") == _TYPES[type(value)]]
    return any(not one.keys() & {"enum", "const", "properties", "format"} for one in plain)


def _plain(schema: Schema, schemas: Schema, *, request: bool) -> Any:
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas, request=request)]
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if schema.get("type") == "string":
        if "pattern" in schema:
            raise NoExample(f"a text of the form {schema['pattern']}")
        return "text"
    if schema.get("type") == "integer":
        return max(1, schema.get("minimum", 1))
    return _BY_TYPE.get(schema.get("type", "object"))


def _object(schema: Schema, schemas: Schema, *, request: bool) -> dict[str, Any]:
    required = schema.get("required", ())
    example = {}
    for name, field in schema["properties"].items():
        if request and name not in required and "examples" not in field:
            continue
        try:
            example[name] = example_of_field(name, field, schemas, request=request)
        except NoExample as error:
            raise NoExample(f"{schema.get('title')}.{name}: give it Field(examples=[…]), {error}") from None
    return example
