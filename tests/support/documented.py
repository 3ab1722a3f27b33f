"""No answer of the API that its OpenAPI document does not have: a hook for the clients of component tests."""

import json
import re
from functools import cache
from typing import Any

import httpx2

from controlplane.api import OPERATIONS
from controlplane.routes import Operation
from tools import openapi_doc


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, which is the same for every application. Making it takes a second, so each worker does so once."""
    made: dict[str, Any] = json.loads(openapi_doc.render())
    return made


def _operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request is dispatched to."""
    below = path.removeprefix("/api")
    return next((one for one in OPERATIONS if one.method == method and one.route.path_regex.match(below)), None)


async def refuse_undocumented(response: httpx2.Response) -> None:
    """The hook: raises AssertionError for a status or a code that the route does not declare."""
    operation = _operation_of(response.request.method, re.sub(r"^http://[^/]*", "", response.request.url.path))
    if operation is None or not operation.route.include_in_schema:
        return
    known = _described(operation, response.status_code)
    if response.is_success:
        assert known, f"{operation} answers {response.status_code}, which it does not declare"
        return
    await response.aread()
    code = response.json()["code"]
    declared = known.get("content", {}).get("application/problem+json", {}).get("examples", {})
    reason = f"{operation} ({operation.name}) answers {response.status_code} {code}: controlplane/problems.py does not say that it may"
    assert code in declared, reason


def _described(operation: Operation, status: int) -> Any:
    responses = document()["paths"][f"/api{operation.route.path_format}"][operation.method.lower()]["responses"]
    found = responses.get(str(status), {})
    return document()["components"]["responses"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
