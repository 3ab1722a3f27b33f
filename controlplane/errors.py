"""The errors of the REST API: RFC 9457 problem details with a stable `code`, one shape for every layer.

Raise `Problem` anywhere below a route: the transaction is rolled back, the audit log gets its row, and the client this answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str


class ProblemView(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="Where the code is explained, below the address of this API.")
    title: str
    status: int
    detail: str = Field(description="What is wrong here, for people.")
    code: str = Field(description="What is wrong, for programs: it never changes.")
    errors: list[FieldError] | None = None
    id: str | None = Field(default=None, description="What an earlier call under the same Idempotency-Key made.")


class Problem(Exception):
    """An answer that ends a request. `code` is stable; `detail` tells a person what to do and holds no secret."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] | None = None,
        made_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})
        self.errors = errors
        self.made_id = made_id

    def view(self) -> ProblemView:
        """Return the body of the answer."""
        return ProblemView(
            type=f"/api/problems/{self.code}",
            title=self.code.replace("_", " ").capitalize(),
            status=self.status,
            detail=self.detail,
            code=self.code,
            errors=list(self.errors) if self.errors else None,
            id=self.made_id,
        )

    def response(self) -> JSONResponse:
        """Render the answer."""
        return JSONResponse(self.view().model_dump(exclude_none=True), self.status, self.headers, MEDIA_TYPE)


def unauthenticated() -> Problem:
    """No token, or one that is not valid any more: one body for all."""
    return Problem(
        401, "invalid_token", "Sign in with POST /api/login and send 'Authorization: Bearer <token>'.", headers={"www-authenticate": "Bearer"}
    )


def forbidden() -> Problem:
    """The role does not have the permission."""
    return Problem(403, "forbidden", "Your role does not allow this.")


def not_found(what: str) -> Problem:
    """What does not exist and what belongs to another tenant look the same."""
    return Problem(404, f"{what.replace(' ', '_')}_not_found", f"There is no such {what}, or it is not yours to see.")


def too_large(limit_bytes: int) -> Problem:
    """The body is above the limit."""
    return Problem(413, "request_too_large", f"The request body is too large, the limit is {limit_bytes} bytes.")


def invalid_field(field: str, message: str) -> Problem:
    """A field whose value only the service can judge; the answer is that of one whose form is wrong."""
    return Problem(422, "invalid_request", f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def internal() -> Problem:
    """A bug of ours; the log has the rest under the request id."""
    return Problem(500, "internal_error", "Something went wrong on our side. The x-request-id of this answer finds it in the log.")


def database_unavailable() -> Problem:
    """PostgreSQL does not answer. Nothing was changed."""
    return Problem(503, "service_unavailable", "The database is unavailable. Try again shortly.", headers={"retry-after": "1"})


def overloaded() -> Problem:
    """More wait for the database than it can serve in time. Nothing was changed."""
    return Problem(503, "overloaded", "More requests than can be served now: all connections to the database are busy.", headers={"retry-after": "1"})


_FRAMEWORK_CODES = {404: "unknown_url", 405: "method_not_allowed"}


async def on_problem(_: Request, error: Exception) -> JSONResponse:
    """Answer with a Problem that was raised."""
    assert isinstance(error, Problem)
    return error.response()


async def on_framework_error(request: Request, error: Exception) -> JSONResponse:
    """Give the framework's own errors our shape."""
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK_CODES.get(error.status_code, "invalid_request")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:  # the framework names the methods of the first route of the path only
        headers["allow"] = ", ".join(request.app.state.methods_of(request.scope["path"])) or headers.get("allow", "")
    return Problem(error.status_code, code, f"{request.method} {request.scope['path']}: {error.detail}.", headers=headers).response()


async def on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Name every field in error; never repeat its value."""
    assert isinstance(error, RequestValidationError)
    found: Sequence[Any] = error.errors()
    if any(e["type"] == "json_invalid" for e in found):
        return Problem(400, "malformed_json", "The request body is not valid JSON.").response()
    if any(e["loc"][0] == "path" for e in found):
        return not_found("object").response()
    errors = [FieldError(field=".".join(map(str, e["loc"][1:])) or str(e["loc"][0]), message=_message(e)) for e in found]
    return Problem(422, "invalid_request", "; ".join(f"{e.field}: {e.message}" for e in errors[:5]), errors=errors).response()


async def on_database_error(_: Request, error: Exception) -> JSONResponse:
    """PostgreSQL was lost in the middle of a request; any other database error is a bug."""
    assert isinstance(error, DBAPIError)
    if not error.connection_invalidated:
        raise error
    return database_unavailable().response()


async def on_no_database(_: Request, __: Exception) -> JSONResponse:
    """PostgreSQL cannot be reached."""
    return database_unavailable().response()


async def on_overload(_: Request, __: Exception) -> JSONResponse:
    """No connection to PostgreSQL was free in time."""
    return overloaded().response()


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "Unknown field."
    return str(error["msg"]).removeprefix("Value error, ")
