"""Calls to a Kubernetes API server, by the official client: its configuration, certificates and tokens; paths and bodies are ours.

Discovery is left out: the kinds that we write are known, and its cache would be a file in a folder that everybody may write to.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient

from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.kubernetes.objects import Json
from controlplane.kubernetes.ports import Conflict, NotServed

MANAGER = "ias"
"""Who we are among those who write fields."""
CALL_S = 15.0
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CALL_S)
"""The client would end watches after five minutes; calls have a limit of their own."""
_LONGEST_WAIT_S = 2
_CONNECTIONS = 64
_AT_ONCE = 16
_REASON_LENGTH = 1_000
_APPLY = "application/apply-patch+yaml"
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_UNTYPED = "failed to create typed patch object"
"""What a server answers with 500 when the kind has no such field."""
_BEARER = re.compile(r"(?i)bearer\s+\S+")

_A = TypeVar("_A")
_T = TypeVar("_T")
Query = Sequence[tuple[str, str]]


class KubernetesApi:
    """One for the process. Raises Conflict (409), NotServed (404), GatewayRejected (the request is at fault) or GatewayUnreachable."""

    def __init__(self, client: ApiClient) -> None:
        self._dynamic = DynamicClient(client)

    async def call(self, method: str, path: str, body: Json | None = None, *, query: Query = (), content_type: str = "application/json") -> Json:
        """Return the answer's object."""
        try:
            async with asyncio.timeout(CALL_S):
                answer = await self._patiently(method, path, body, query, content_type)
                found: Json = msgspec.json.decode(await answer.read())
                return found
        except ApiException as error:
            raise _failure(error, f"{method} {path}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise GatewayUnreachable(f"the Kubernetes API did not answer {method} {path}: {_said(error)}") from error

    async def apply(self, path: str, manifest: Json, *, dry_run: bool = False) -> Json:
        """Server-side apply: strict about fields, never by force."""
        query = [("fieldManager", MANAGER), ("force", "false"), ("fieldValidation", "Strict"), *([("dryRun", "All")] if dry_run else [])]
        return await self.call("PATCH", path, manifest, query=query, content_type=_APPLY)

    async def lines(self, path: str, query: Query, silence_s: float) -> AsyncGenerator[Json]:
        """Yield what a watch tells, line by line, until it ends. `silence_s`: how long it may take to begin."""
        try:
            async with asyncio.timeout(silence_s):
                answer = await self._request("GET", path, None, [("watch", "true"), *query], "application/json")
            try:
                async for line in answer.content:
                    yield msgspec.json.decode(line)
            finally:
                if (connection := answer.connection) is not None and connection.transport is not None:
                    connection.transport.abort()  # a farewell of TLS would outlive the event loop
                answer.close()
        except ApiException as error:
            raise _failure(error, f"watch {path}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:  # ValueError: a line too long, or cut
            raise GatewayUnreachable(f"the watch of {path} broke: {_said(error)}") from error

    async def _patiently(self, method: str, path: str, body: Json | None, query: Query, content_type: str) -> Any:
        """Ask again when the server says when to: it is busy, or begins to serve a kind. The caller's deadline ends that."""
        while True:
            try:
                return await self._request(method, path, body, query, content_type)
            except ApiException as error:
                wait = (error.headers or {}).get("retry-after", "")
                if error.status not in {429, 503} or not wait.isdigit():
                    raise
                await asyncio.sleep(min(int(wait), _LONGEST_WAIT_S))

    async def _request(self, method: str, path: str, body: Json | None, query: Query, content_type: str) -> Any:
        return await self._dynamic.request(
            method.lower(), path, body=body, query_params=list(query), content_type=content_type, serialize=False, _request_timeout=_TIMEOUT
        )


@asynccontextmanager
async def open_api(kubeconfig: Path | None) -> AsyncIterator[KubernetesApi]:
    """Connect as a kubeconfig says, None: as a pod's service account. Raises GatewayUnreachable when there is neither."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError) as error:
        where = "no IAS_KUBERNETES_KUBECONFIG is given, and this is no pod with a service account" if kubeconfig is None else str(kubeconfig)
        raise GatewayUnreachable(f"the Kubernetes API is not known: {where} ({error})") from error
    async with ApiClient(configuration) as client:
        yield KubernetesApi(client)


async def together(call: Callable[[_A], Awaitable[_T]], items: Iterable[_A]) -> list[_T]:
    """Call for each, some at once. After a failure no other is begun: an API server that is away is not asked five hundred times."""
    turns = asyncio.Semaphore(_AT_ONCE)
    failures: list[BaseException] = []

    async def in_turn(item: _A) -> _T:
        async with turns:
            if failures:
                raise failures[0]
            try:
                return await call(item)
            except BaseException as error:
                failures.append(error)
                raise

    answers = await asyncio.gather(*(in_turn(item) for item in items), return_exceptions=True)
    if failures:
        raise failures[0]
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _failure(error: ApiException, call: str) -> Exception:
    message, causes = _message(error)
    if error.status == 409 and causes:
        return Conflict(f"another manager owns fields that we want otherwise, and keeps them: {causes}")
    if error.status == 409:
        return Conflict(message)
    if error.status == 404:
        return NotServed(f"{call}: {message}")
    if error.status in {401, 403}:
        return GatewayRejected(f"the cluster does not let us {call}: {message}")
    if error.status in _TRANSIENT and _UNTYPED not in message:
        return GatewayUnreachable(f"the Kubernetes API answered {call} with {error.status}: {message}")
    return GatewayRejected(message)


def _message(error: ApiException) -> tuple[str, str]:
    """What a Status object says, and of conflicts with whom and about which fields."""
    try:
        status = msgspec.json.decode(error.body or "")
        causes = (status.get("details") or {}).get("causes") or ()
        conflicts = "; ".join(f"{cause.get('field')} ({cause.get('message')})" for cause in causes if cause.get("reason") == "FieldManagerConflict")
        return str(status.get("message") or error.reason)[:_REASON_LENGTH], conflicts[:_REASON_LENGTH]
    except (TypeError, ValueError, AttributeError):
        return str(error.reason or error.status), ""


def _said(error: BaseException) -> str:
    return _BEARER.sub("Bearer …", str(error) or type(error).__name__)[:_REASON_LENGTH]
