"""No answer of the API that its OpenAPI document does not have: a hook for the clients of component tests."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from fastapi import FastAPI

from controlplane.api import OPERATIONS
from controlplane.routes import Operation


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request is dispatched to."""
    below = path.removeprefix("/api")
    return next((one for one in OPERATIONS if one.method == method and one.route.path_regex.match(below)), None)


def refuse_undocumented(app: FastAPI) -> Callable[[httpx2.Response], Awaitable[None]]:
    """Make the hook: it raises AssertionError for a status or a code that the route does not declare."""
    document = app.openapi()

    def described(operation: Operation, status: int) -> Any:
        responses = document["paths"][f"/api{operation.route.path_format}"][operation.method.lower()]["responses"]
        found = responses.get(str(status), {})
        return document["components"]["responses"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found

    async def hook(response: httpx2.Response) -> None:
        operation = operation_of(response.request.method, re.sub(r"^http://[^/]*", "", response.request.url.path))
        if operation is None or not operation.route.include_in_schema:
            return
        known = described(operation, response.status_code)
        if response.is_success:
            assert known, f"{operation} answers {response.status_code}, which it does not declare"
            return
        await response.aread()
        code = response.json()["code"]
        declared = known.get("content", {}).get("application/problem+json", {}).get("examples", {})
        reason = f"{operation} ({operation.name}) answers {response.status_code} {code}: controlplane/problems.py does not say that it may"
        assert code in declared, reason

    return hook
