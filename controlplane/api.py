"""The REST API: the routers of all domains, the shape of errors, health. OpenAPI at `/api/openapi.json`."""

import asyncio
from functools import cache, partial

from fastapi import APIRouter, FastAPI, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from controlplane import errors
from controlplane.access_requests.router import router as access_requests
from controlplane.accounts.router import router as accounts
from controlplane.approvals.router import router as approvals
from controlplane.audit.router import router as audit
from controlplane.backends.router import router as backends
from controlplane.budgets.router import router as budgets
from controlplane.catalog.router import router as catalog
from controlplane.documentation.router import router as documentation
from controlplane.invites.router import router as invites
from controlplane.keys.router import router as keys
from controlplane.limits.router import router as limits
from controlplane.middleware import Edge
from controlplane.openapi import DESCRIPTION, complete
from controlplane.orgs.router import router as orgs
from controlplane.problem_pages import router as problems
from controlplane.publishing.router import router as publishing
from controlplane.quota_requests.router import router as quota_requests
from controlplane.registry.router import router as registry
from controlplane.requests.router import router as requests
from controlplane.routes import methods_of, operations
from controlplane.runtime import Runtime, RuntimeNow
from controlplane.security_events.router import router as security_events
from controlplane.sign_in.router import router as sign_in
from controlplane.usage.router import router as usage

ROUTERS: tuple[APIRouter, ...] = (
    *(sign_in, accounts, invites, orgs, keys, limits, budgets, quota_requests),
    *(audit, backends, catalog, approvals, access_requests, registry, publishing, documentation, usage, requests, security_events),
)
"""Every domain's router; each is mounted below `/api`."""

_READY_TIMEOUT_S = 2
OPERATIONS = operations((*ROUTERS, problems))
"""What `/api` serves. A route without a rule raises here: it is never served."""
_health = APIRouter(include_in_schema=False)


def build(runtime: Runtime) -> FastAPI:
    """Make the application."""
    app = FastAPI(
        title="IAS",
        summary="The front door for all AI inference of an organisation",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        description=DESCRIPTION,
        redirect_slashes=False,
        routes=_routes(),
    )
    app.openapi = cache(partial(complete, app, OPERATIONS))  # type: ignore[method-assign]
    app.state.runtime = runtime
    app.state.methods_of = lambda path: methods_of(OPERATIONS, path.removeprefix("/api"))
    app.add_exception_handler(errors.Problem, errors.on_problem)
    app.add_exception_handler(HTTPException, errors.on_framework_error)
    app.add_exception_handler(RequestValidationError, errors.on_invalid_request)
    app.add_exception_handler(DBAPIError, errors.on_database_error)
    app.add_exception_handler(PoolTimeout, errors.on_overload)
    app.add_exception_handler(OSError, errors.on_no_database)
    app.add_middleware(Edge, engine=runtime.engine, trusted_proxies=runtime.trusted_proxies)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """The routes of every application in this process. FastAPI prepares each when it is first looked at, which takes a second in sum."""
    everything = APIRouter(generate_unique_id_function=lambda route: route.name)
    everything.include_router(_health)
    for router in (*ROUTERS, problems):
        everything.include_router(router, prefix="/api")
    return everything.routes


@_health.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@_health.get("/readyz")
async def readyz(runtime: RuntimeNow, response: Response) -> dict[str, str]:
    """The process can work: PostgreSQL answers."""
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S), runtime.engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM alembic_version"))
    except (SQLAlchemyError, OSError):  # a timeout is an OSError
        response.status_code = 503
        return {"status": "database unavailable"}
    return {"status": "ok"}
