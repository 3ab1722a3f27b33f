"""The route class of the API: a POST under an Idempotency-Key is done once, and its answer is given again.

The rule of a route calls `begin` when the request may pass; what is kept of the answer commits with the work itself.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.idempotency import repository, rules
from ias import logs

log = logs.get(__name__)

_EVERY_S = 3600


class Replayed(Exception):
    """The request was done before; ends it with the answer of then."""

    def __init__(self, answer: rules.Answer) -> None:
        super().__init__()
        self.answer = answer

    def response(self) -> Response:
        """Make the answer of then."""
        return Response(self.answer.body, self.answer.status, {**self.answer.headers, "idempotency-replayed": "true"})


class Route(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler of a POST."""
        handle = super().get_route_handler()
        return handle if "POST" not in (self.methods or ()) else _once(handle)


class Router(APIRouter):
    """A router of a domain; each of the API is one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)


async def begin(request: Request, engine: AsyncEngine, user_id: UUID) -> None:
    """Claim the key of a POST that has one. Raises Replayed, or Problem when another request has it."""
    key = request.headers.get(rules.HEADER)
    if key is None or request.method != "POST":
        return
    # Not `request.url`: that is made of the Host header, which its sender chooses.
    target = f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    wanted = rules.Request(user_id, request.scope["route"].name, rules.check_key(key), rules.digest_of(target, await request.body()))
    await request.state.uow.checkpoint()  # gives its connection back: who waits for a second one while holding one waits for ever
    if await repository.claim(engine, wanted):
        request.state.claim = wanted
        return
    if (found := await repository.find(engine, wanted)) is None:
        raise rules.in_use()  # it failed and was released just now
    digest, answer = found
    if digest != wanted.digest:
        raise rules.reused()
    if answer is None:
        raise rules.in_use()
    raise rules.already_shown(answer) if answer.body is None else Replayed(answer)


async def forget_forever(engine: AsyncEngine) -> None:
    """Delete expired keys now and then, until cancelled; a database that is away is waited for."""
    while True:
        try:
            await repository.forget_expired(engine)
        except (SQLAlchemyError, OSError):
            log.warning("expired idempotency keys are not removed now", exc_info=True)
        await asyncio.sleep(_EVERY_S)


def _once(handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def handler(request: Request) -> Response:
        try:
            response = await handle(request)
        except Replayed as replayed:
            request.state.uow.audit(replayed=True)
            return replayed.response()
        except BaseException:
            await _release(request)
            raise
        if (claim := getattr(request.state, "claim", None)) is not None:
            answer = rules.kept(response.status_code, response.headers, bytes(response.body))
            request.state.uow.with_commit(repository.keeping(claim, answer))
        return response

    return handler


async def _release(request: Request) -> None:
    if (claim := getattr(request.state, "claim", None)) is not None:
        await request.state.uow.close()
        await asyncio.shield(repository.release(request.app.state.runtime.engine, claim))
