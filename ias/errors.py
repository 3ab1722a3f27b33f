"""The errors that the data plane itself answers: one catalogue, one shape, for every layer (design §4, "Errors").

The shape is OpenAI's, on KServe paths KServe's. Envoy's own replies are rendered from this catalogue too
(`controlplane/gateway/local_replies.py`), so that they cannot drift from it.
"""

from dataclasses import dataclass

import msgspec

from ias.error_shapes import Shape, shape_of

INVALID_REQUEST = "invalid_request_error"
SERVER = "server_error"


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


@dataclass(frozen=True, slots=True)
class ApiError(Exception):
    """An answer that ends a request: HTTP status, OpenAI's four fields, and headers that tell a client what to do next."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def body(self, target: str) -> bytes:
        """Render the body that clients of a request target expect."""
        return self.shaped(shape_of(target))

    def shaped(self, shape: Shape) -> bytes:
        """Render the body in a shape."""
        match shape:
            case Shape.ANTHROPIC:
                return self.anthropic_body()
            case Shape.KSERVE:
                return self.kserve_body()
            case Shape.OPENAI:
                return self.openai_body()

    def openai_body(self) -> bytes:
        """Render `{"error": {message, type, param, code}}`, as the official SDKs read it."""
        return msgspec.json.encode({"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}})

    def anthropic_body(self) -> bytes:
        """Render `{"type": "error", "error": {type, message, code}}`, as Anthropic's clients read it on `/v1/messages`."""
        return msgspec.json.encode({"type": "error", "error": {"type": self.anthropic_type, "message": self.message, "code": self.code}})

    @property
    def anthropic_type(self) -> str:
        """Anthropic's name for this kind of error; its clients go by the status first."""
        return _ANTHROPIC_TYPES.get(self.status, INVALID_REQUEST if self.status < 500 else "api_error")

    def kserve_body(self) -> bytes:
        """Render `{"error": "…"}`, the error of the Open Inference Protocol and of KServe v1."""
        return msgspec.json.encode({"error": self.message})


def invalid_api_key() -> ApiError:
    """One body for missing, malformed, unknown, revoked and expired keys and for disabled users and orgs: no oracle."""
    return ApiError(
        401,
        INVALID_REQUEST,
        "invalid_api_key",
        "No valid API key was provided. Send 'Authorization: Bearer <key>' or 'X-API-Key: <key>' with an active key.",
        headers=(("www-authenticate", 'Bearer realm="ias"'),),
    )


def model_not_allowed(model: str) -> ApiError:
    """The org may use the model, this key may not."""
    return ApiError(403, INVALID_REQUEST, "model_not_allowed", f"This API key may not use the model '{model}'.", "model")


def model_not_found(model: str) -> ApiError:
    """Unknown, unpublished and foreign models look the same: nobody learns of another tenant's models."""
    return ApiError(404, INVALID_REQUEST, "model_not_found", f"The model '{model}' does not exist or you do not have access to it.", "model")


def wrong_protocol(model: str, instead: str) -> ApiError:
    """The model is there and allowed, but its engine does not speak what was sent; `instead` says what it does."""
    return ApiError(400, INVALID_REQUEST, "wrong_protocol", f"The model '{model}' does not take this request. Send {instead}.", "model")


def unknown_url(method: str, path: str) -> ApiError:
    """The operation is not on the allow-list."""
    return ApiError(404, INVALID_REQUEST, "unknown_url", f"Unknown request URL: {method} {path}.")


def invalid_request(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """The body is not one we can pass on; `param` names the field."""
    return ApiError(400, INVALID_REQUEST, code, message, param)


def unsupported_encoding(encoding: str) -> ApiError:
    """The body is compressed: it cannot be authorized without inflating what a stranger chose."""
    return ApiError(415, INVALID_REQUEST, "unsupported_encoding", f"Request bodies must not be encoded, this one is '{encoding}'. Send plain JSON.")


def request_too_large(limit_bytes: int) -> ApiError:
    """The body is above the operation's limit."""
    return ApiError(413, INVALID_REQUEST, "request_too_large", f"The request body is too large, the limit is {limit_bytes} bytes.")


def rate_limited(kind: str, limit_name: str, retry_after_ms: int, headers: tuple[tuple[str, str], ...] = ()) -> ApiError:
    """A limit that a retry can meet. `kind` is `requests` or `tokens`; the time to wait is capped at 60 s."""
    wait_ms = max(1, min(retry_after_ms, 60_000))
    seconds = -(-wait_ms // 1000)
    return ApiError(
        429,
        kind,
        "rate_limit_exceeded",
        f"Rate limit reached: {limit_name}. Try again in {_plural(seconds, 'second')}.",
        headers=(("retry-after", str(seconds)), ("retry-after-ms", str(wait_ms)), *headers),
    )


def too_large_for_limit(kind: str, limit_name: str, headers: tuple[tuple[str, str], ...] = ()) -> ApiError:
    """One request above the limit itself: no retry can succeed, so none is invited."""
    return ApiError(
        429,
        kind,
        "request_too_large_for_limit",
        f"This request alone exceeds the limit: {limit_name}.",
        headers=(("x-should-retry", "false"), *headers),
    )


def insufficient_quota(budget_name: str, reset_ms: int, headers: tuple[tuple[str, str], ...] = ()) -> ApiError:
    """A calendar budget is spent: `retry-after` tells when it begins anew, and a client that retries by itself is told not to."""
    seconds = max(1, -(-reset_ms // 1000))
    return ApiError(
        429,
        "insufficient_quota",
        "insufficient_quota",
        f"The {budget_name} is spent. It begins anew in {_about(seconds)}, or when it is raised.",
        headers=(("retry-after", str(seconds)), ("x-should-retry", "false"), *headers),
    )


def service_unavailable(what: str) -> ApiError:
    """A dependency of ours is down and the policy says deny. Never 401: the key may be good."""
    return ApiError(503, SERVER, "service_unavailable", f"{what} is unavailable. Try again shortly.", headers=(("retry-after", "1"),))


def malformed_request() -> ApiError:
    """HTTP that the edge refuses: escaped slashes in the path, underscores in header names, broken framing."""
    return ApiError(
        400, INVALID_REQUEST, "malformed_request", "The HTTP request is malformed. Send a plain path without escaped slashes and valid headers."
    )


def upgrade_refused() -> ApiError:
    """WebSocket, CONNECT and every other upgrade: there is nothing behind them here."""
    return ApiError(403, INVALID_REQUEST, "upgrade_refused", "Connection upgrades are not supported. Send a plain HTTP request.")


def request_timeout() -> ApiError:
    """The request did not arrive completely in time."""
    return ApiError(408, INVALID_REQUEST, "request_timeout", "The request did not arrive completely in time. Send it again.")


def http_version_too_old() -> ApiError:
    """HTTP/1.0 has no chunked answers, so it cannot stream."""
    return ApiError(426, INVALID_REQUEST, "http_version_too_old", "Use HTTP/1.1 or HTTP/2.")


def headers_too_large() -> ApiError:
    """Headers above the edge's limit."""
    return ApiError(431, INVALID_REQUEST, "headers_too_large", "The request headers are too large.")


def internal_error() -> ApiError:
    """A fault of ours."""
    return ApiError(500, SERVER, "internal_error", "The gateway failed to process the request. The request id helps to find out why.")


def upstream_unauthorized() -> ApiError:
    """The engine refused what the gateway showed it (401, 403). Never passed on as such: clients would take their own key for the bad one."""
    return ApiError(
        502,
        SERVER,
        "upstream_unauthorized",
        "The model's engine refused the gateway's credential. Your API key is good: the operator of the gateway must mend this.",
        headers=(("x-should-retry", "false"),),
    )


def upstream_timeout() -> ApiError:
    """The engine took the request and stayed silent."""
    return ApiError(504, SERVER, "upstream_timeout", "The model did not answer in time.")


def _about(seconds: int) -> str:
    """A time as people say it: the largest unit of which there are at least two."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return _plural(seconds // length, unit)
    return _plural(seconds, "second")


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
