"""The edge of the API, around everything else: request id, size and time limits of bodies, audit of what failed, one log line."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane import errors
from controlplane.audit.rules import Attempt, outcome_of
from controlplane.client_address import Network, client_address
from controlplane.errors import Problem
from controlplane.unit_of_work import record_failure
from ias import logs
from ias.headers import REQUEST_ID

log = logs.get(__name__)

MAX_BODY_BYTES = 1024 * 1024
_BODY_TIMEOUT_S = 30
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_ANSWER_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Edge:
    """ASGI middleware. The body of a write is read before anything else, so that limits hold for every route."""

    def __init__(self, app: ASGIApp, engine: AsyncEngine, trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._engine = engine
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        client = scope.get("client")
        address = client_address(client[0] if client else "", ",".join(headers.getlist("x-forwarded-for")), self._trusted_proxies)
        exchange = _Exchange(scope, send, self._engine, given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4()), address)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                if scope["method"] in _WRITES:
                    body = await _read_body(headers, receive)
                    exchange.attempt.payload = {"path": scope["path"], "body": _json(body)}
                    receive = _replay(body, receive)
                await self._app(scope, receive, exchange.send)
            except Problem as problem:
                await problem.response()(scope, receive, exchange.send)
            except Exception:
                log.exception("request failed")
                if exchange.status is not None:
                    raise
                await errors.internal().response()(scope, receive, exchange.send)
            finally:
                exchange.log()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, engine: AsyncEngine, request_id: str, address: str) -> None:
        self._scope, self._send, self._engine = scope, send, engine
        self._began = time.monotonic()
        self.request_id = request_id
        self.status: int | None = None
        self.attempt = Attempt(f"{scope['method']} {scope['path']}", request_id=request_id, client_address=address)
        writes = scope["method"] in _WRITES
        scope["state"] = {**scope.get("state", {}), "client_address": address, "attempt": self.attempt if writes else None}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._record_failure(message["status"])
            headers = MutableHeaders(scope=message)
            headers.update({**_ANSWER_HEADERS, REQUEST_ID: self.request_id})
        await self._send(message)

    async def _record_failure(self, status: int) -> None:
        if status < 400 or self.attempt.recorded or not self.attempt.reached_authentication:
            return
        try:
            await record_failure(self._engine, self.attempt, outcome_of(status))
        except (SQLAlchemyError, OSError):
            log.exception("audit row of a failed write is missing", action=self.attempt.action)

    def log(self) -> None:
        level = log.info if self._scope["path"].startswith("/api/") else log.debug
        level(
            "request",
            method=self._scope["method"],
            path=self._scope["path"],
            status=self.status,
            duration_ms=round((time.monotonic() - self._began) * 1000, 1),
            user_id=str(self.attempt.user_id) if self.attempt.user_id else None,
        )


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise errors.too_large(MAX_BODY_BYTES)
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "invalid_request", "The client went away before the body was complete.")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MAX_BODY_BYTES:
                    raise errors.too_large(MAX_BODY_BYTES)
    except TimeoutError:
        raise Problem(408, "request_timeout", f"The request body did not arrive within {_BODY_TIMEOUT_S} s.") from None
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _json(body: bytes) -> Any:
    """For the audit log only; what is not JSON is not kept."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
