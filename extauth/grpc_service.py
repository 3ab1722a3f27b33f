"""Envoy's `Check`: all calls of one turn are decided together, and admitted in one call to the store.

What memory suffices for is answered at once. A credential whose record is not in memory waits for one read. Nothing
ends without an answer, and whatever fails is a refusal: 503, never a pass.
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from extauth import answer
from extauth.decision import Incoming, Passage, answer_models, authenticate, decide, identify
from extauth.lookup import CredentialLookup
from extauth.operation import Operation
from extauth.ports import ReaderUnavailable
from extauth.records import KnownCredential
from extauth.snapshot import Snapshot
from ias import context as contexts
from ias import logs, telemetry
from ias.apikeys import ApiKey
from ias.endpoints import Endpoint
from ias.errors import ApiError, invalid_api_key, rate_limited, service_unavailable, too_large_for_limit
from ias.transport import Call, Status
from protos.auth_pb2 import CheckRequest
from ratelimit.bucket import NEVER
from ratelimit.headers import request_headers, tightest
from ratelimit.ports import Admission, AdmissionStore, Decision, StoreUnavailable
from ratelimit.store_memory import MemoryAdmissionStore

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator configured."""

    peppers: Mapping[int, bytes]
    signing_keys: contexts.SigningKeys
    max_body_bytes: int


class CheckService:
    """Decides by the snapshot; admits by the store, or by `local` while the store is away."""

    def __init__(self, snapshot: Snapshot, lookup: CredentialLookup, store: AdmissionStore, local: MemoryAdmissionStore, policy: Policy) -> None:
        self._snapshot = snapshot
        self._lookup = lookup
        self._store = store
        self._local = local
        self._policy = policy
        self._store_away = False
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, calls: Sequence[Call]) -> None:
        """The batch handler of the transport."""
        checks = [check for call in calls if (check := _read(call)) is not None]
        waiting = [check for check in checks if self._begin(check)]
        if waiting:
            self._start(self._admit(waiting), waiting)

    async def finish(self) -> None:
        """Wait until all calls are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, check: "_Check") -> bool:
        """Take a call as far as memory allows; True if it now waits for admission."""
        try:
            operation, key = identify(check.incoming)
            check.key = key
            if not self._snapshot.is_fresh(time.monotonic()):
                raise service_unavailable("Authentication")
            if key.credential_id not in self._snapshot.live:
                raise invalid_api_key()
            if key.credential_id in self._snapshot.records:
                return self._decide(check, operation, key, self._snapshot.records.get(key.credential_id))
        except Exception as error:
            _refuse(check, error)
            return False
        self._start(self._look_up(check, operation, key), [check])
        return False

    def _decide(self, check: "_Check", operation: Operation, key: ApiKey, known: KnownCredential | None) -> bool:
        known = authenticate(key, known, self._policy.peppers, datetime.now(UTC))
        check.org_id = known.credential.org_id
        if operation.endpoint is Endpoint.MODELS:
            check.reply(200, answer.respond(200, answer_models(operation, known, self._snapshot.publications)))
            return False
        check.passage = decide(check.incoming, operation, known, self._snapshot.publications, self._policy.max_body_bytes, _wall_ms())
        return True

    async def _look_up(self, check: "_Check", operation: Operation, key: ApiKey) -> None:
        try:
            waits = self._decide(check, operation, key, await self._lookup.find(key.credential_id))
        except ReaderUnavailable as error:
            log.warning("cannot read a credential", credential=key.hint, reason=str(error))
            raise service_unavailable("Authentication") from error
        if waits:
            await self._admit([check])

    async def _admit(self, checks: Sequence["_Check"]) -> None:
        admissions = [_admission(check.passage) for check in checks if check.passage is not None]
        try:
            decisions = await self._store.admit(admissions)
            self._store_is(None)
        except StoreUnavailable as error:
            self._store_is(error)
            telemetry.STORE_FALLBACKS.inc(len(admissions))
            decisions = self._local.decide(admissions)
        for check, decision in zip(checks, decisions, strict=True):
            try:
                self._pass(check, decision)
            except Exception as error:
                _refuse(check, error)

    def _store_is(self, away: StoreUnavailable | None) -> None:
        """One line in the log when the store goes and one when it is back."""
        if (away is not None) == self._store_away:
            return
        self._store_away = away is not None
        if away is not None:
            log.warning("Valkey does not answer: this process decides limits alone", reason=str(away))
        else:
            log.info("Valkey is back")

    def _pass(self, check: "_Check", decision: Decision) -> None:
        assert check.passage is not None
        headers = request_headers(decision.states)
        if decision.reservation_id is None:
            raise _over_limit(decision, headers)
        context = msgspec.structs.replace(check.passage.context, reservation_id=decision.reservation_id, signed_at_ms=_wall_ms())
        telemetry.ADMISSIONS.labels(context.endpoint).inc()
        check.reply(200, answer.allow(contexts.sign(context, self._policy.signing_keys), context.model, headers))

    def _start(self, work: Coroutine[Any, Any, None], checks: Sequence["_Check"]) -> None:
        task = asyncio.ensure_future(self._answered(work, checks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, work: Coroutine[Any, Any, None], checks: Sequence["_Check"]) -> None:
        try:
            await work
        except Exception as error:
            for check in checks:
                _refuse(check, error)


class _Check:
    """One call on its way. `key`, `org_id` and `passage` are filled in as they become known."""

    __slots__ = ("_call", "_started", "incoming", "key", "org_id", "passage")

    def __init__(self, call: Call, incoming: Incoming) -> None:
        self._call = call
        self._started = time.perf_counter()
        self.incoming = incoming
        self.key: ApiKey | None = None
        self.org_id: str | None = None
        self.passage: Passage | None = None

    def reply(self, status: int, message: bytes) -> None:
        self._call.reply(message)
        telemetry.CHECKS.labels(status).inc()
        telemetry.CHECK_SECONDS.observe(time.perf_counter() - self._started)


def _read(call: Call) -> _Check | None:
    try:
        http = CheckRequest.FromString(call.message).attributes.request.http
    except DecodeError:
        call.fail(Status.INVALID_ARGUMENT, "not a CheckRequest")
        return None
    return _Check(call, Incoming(http.method, http.path, http.headers, http.raw_body or http.body.encode()))


def _refuse(check: _Check, error: Exception) -> None:
    """Answer with the error, and say so in one line without anything secret: the query of the URL stays out."""
    incoming = check.incoming
    if not isinstance(error, ApiError):
        log.error("check failed", request_id=incoming.request_id, exc_info=error)
        error = service_unavailable("Authorization")
    check.reply(error.status, _refusal(error))
    log.info(
        "request refused",
        status=error.status,
        code=error.code,
        method=incoming.method[:16],
        path=incoming.target.partition("?")[0][:200],
        request_id=incoming.request_id[:128],
        credential=check.key.hint if check.key else None,
        org_id=check.org_id,
    )


def _refusal(error: ApiError) -> bytes:
    """An answer whatever happens: one that cannot be rendered must not take the batch along."""
    try:
        return answer.refuse(error)
    except Exception:
        log.exception("a refusal could not be rendered", code=error.code)
        return answer.refuse(service_unavailable("Authorization"))


def _admission(passage: Passage) -> Admission:
    return Admission(passage.context.org_id, secrets.randbits(80), passage.limits, contexts.encode(passage.context))


def _over_limit(decision: Decision, headers: tuple[tuple[str, str], ...]) -> ApiError:
    state = tightest(decision.states)
    if state.retry_ms == NEVER:
        return too_large_for_limit("requests", state.limit.name)
    return rate_limited("requests", state.limit.name, state.retry_ms, headers)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
