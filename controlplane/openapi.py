"""OpenAPI 3.1, complete: FastAPI's document with an example of every body and every error that a route may answer."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI

from controlplane import errors
from controlplane.authorization import Requires
from controlplane.examples import example_of, example_of_field
from controlplane.idempotency.rules import HEADER
from controlplane.openapi_links import add_links
from controlplane.problems import CATALOGUE, Entry, raised_by
from controlplane.routes import Operation
from ias.headers import REQUEST_ID

Document = dict[str, Any]

DESCRIPTION = f"""
JSON in camelCase; times are RFC 3339 in UTC; unknown fields and parameters are refused.

* **Sign in** with `POST /api/login`, then send `Authorization: Bearer <token>`.
* **Errors** are problem details (RFC 9457) with a stable `code`; `GET /api/problems` explains each.
* **Lists** come in pages: give `nextCursor` of one as `cursor` of the next. The last has none.
* **Versions**: what was read has an `etag`; send it as `if-match` with the change, and nobody is overwritten.
* **Repeat a POST** safely with an `idempotency-key`: what went well is not done twice, its answer comes again. An answer that showed a
  secret does not: it is 409 `secret_already_shown`, with the `id` of what was made.
* **Every answer** has an `{REQUEST_ID}`, which is in our log and in the audit log; a good one of yours is kept.
"""
_HEADERS = {REQUEST_ID: {"$ref": "#/components/headers/RequestId"}}
_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "A key of your choice: the same request under the same key is done once and answered again, for a day.",
}
_BY_PARAMETER = {
    "{org}": "org_not_found",
    "{user_id}": "user_not_found",
    "{key_id}": "key_not_found",
    "{quota_request_id}": "quota_request_not_found",
    "{request_id}": "request_not_found",
    "cursor": "invalid_cursor",
    "if-match": "version_conflict",
}


def complete(app: FastAPI, operations: Iterable[Operation]) -> Document:
    """Return the application's document."""
    document: Document = FastAPI.openapi(app)
    components = document["components"]
    components["headers"] = {"RequestId": {"description": "Finds this request in the logs.", "schema": {"type": "string"}}}
    components["responses"] = {}
    schemas = components["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["FieldError"] = errors.FieldError.model_json_schema()
    schemas["Problem"] = errors.ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
    del schemas["Problem"]["$defs"]
    known = tuple(operations)
    for operation in known:
        if operation.route.include_in_schema:
            described = document["paths"][f"/api{operation.route.path_format}"][operation.method.lower()]
            _name(described)
            if _once(operation):
                described.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            described["responses"] = _successes(described["responses"])
            _give_examples(described, schemas)
            names = [parameter["name"].lower() for parameter in described.get("parameters", ())]
            described["responses"] |= _problems(codes_of(operation, names), components["responses"])
    add_links(document["paths"], known)
    return document


def codes_of(operation: Operation, parameters: Iterable[str]) -> set[Entry]:
    """Return every code that a route may answer, with names of its parameters."""
    return {CATALOGUE[code] for code in _codes_by_form(operation, set(parameters))} | set(raised_by(operation.name))


def _codes_by_form(operation: Operation, parameters: set[str]) -> Iterator[str]:
    yield from ("internal_error", "service_unavailable", "invalid_request")
    if operation.writes:
        yield from ("request_timeout", "request_too_large")
    if operation.route.body_field is not None:
        yield "malformed_json"
    if not operation.is_public:
        yield "invalid_token"
        if operation.writes:
            yield "csrf_token_invalid"
    if _once(operation):
        yield from ("invalid_idempotency_key", "idempotency_key_in_use", "idempotency_key_reused", "secret_already_shown")
    if isinstance(operation.rule, Requires):
        yield "forbidden"
    if "{" in operation.path:
        yield "object_not_found"
    for name, code in _BY_PARAMETER.items():
        if name in parameters or (name.startswith("{") and name in operation.path):
            yield code


def _once(operation: Operation) -> bool:
    return operation.method == "POST" and not operation.is_public


def _name(described: Document) -> None:
    """The first sentence of a docstring is the summary."""
    summary, _, rest = described.pop("description", "").partition(". ")
    described["summary"] = summary.rstrip(".")
    if rest:
        described["description"] = rest


def _give_examples(described: Document, schemas: Document) -> None:
    for parameter in described.get("parameters", ()):
        if parameter["in"] != "header" and parameter["required"]:
            parameter["example"] = example_of_field(parameter["name"], parameter["schema"], schemas, request=True)
    for content in described.get("requestBody", {}).get("content", {}).values():
        content["example"] = example_of(content["schema"], schemas, request=True)
    for response in described["responses"].values():
        for content in response.get("content", {}).values():
            if content.get("schema"):
                content["example"] = example_of(content["schema"], schemas, request=False)


def _successes(responses: Document) -> Document:
    found = {status: response for status, response in responses.items() if status < "4"}
    for response in found.values():
        response["description"] = "Done."
        response["headers"] = _HEADERS | response.get("headers", {})
    return found


def _problems(entries: Iterable[Entry], shared: Document) -> Document:
    """Answers by status; those with the same codes are described once, under `components`."""
    by_status: dict[int, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.code):
        for status in entry.statuses:
            by_status.setdefault(status, []).append(entry)
    responses = {}
    for status, found in sorted(by_status.items()):
        name = "-".join([str(status), *(entry.code for entry in found)])
        shared[name] = {
            "description": "; ".join(f"`{entry.code}`: {entry.meaning}" for entry in found),
            "headers": _HEADERS,
            "content": {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": _examples(status, found)}},
        }
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return responses


def _examples(status: int, entries: Iterable[Entry]) -> Document:
    return {entry.code: {"value": errors.Problem(status, entry.code, entry.meaning).view().model_dump(exclude_none=True)} for entry in entries}
