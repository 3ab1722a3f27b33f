"""Envoy's `Check`: all calls of one turn are decided together, and admitted in one call to the store.

What memory suffices for is answered at once. A credential whose record is not in memory waits for one read. Nothing
ends without an answer, and whatever fails is a refusal: 503, never a pass.
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError
from prometheus_client import Counter

from extauth import answer
from extauth.access import is_traditional
from extauth.admission import Admissions, Answer, Wanted
from extauth.client_address import client_address
from extauth.decision import Policy, answer_here, authenticate, decide, identify, visitor
from extauth.incoming import Incoming
from extauth.learned import LearnedValues
from extauth.limits import setting_of
from extauth.lookup import CredentialLookup
from extauth.operation import Operation
from extauth.passage import Passage
from extauth.records import KnownCredential
from extauth.refusal import refusal, sample_of
from extauth.security_events import SecurityEvents
from extauth.snapshot import Snapshot
from ias import context as contexts
from ias import logs, telemetry
from ias.apikeys import ApiKey
from ias.change_log import ReaderUnavailable
from ias.endpoints import Endpoint
from ias.errors import ApiError, invalid_api_key, service_unavailable
from ias.gateway_views import Credential
from ias.security_event import RefusedRequest
from ias.transport import Call, Status
from protos.auth_pb2 import CheckRequest
from ratelimit.headers import limit_headers
from ratelimit.ports import Decision, LimitState

log = logs.get(__name__)


class CheckService:
    """Decides by the snapshot, admits by `admissions`, and learns from what they answer."""

    def __init__(
        self,
        snapshot: Snapshot,
        lookup: CredentialLookup,
        admissions: Admissions,
        learned: LearnedValues,
        policy: Policy,
        security: SecurityEvents | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._lookup = lookup
        self._admissions = admissions
        self._learned = learned
        self._policy = policy
        self._security = security or SecurityEvents(None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathered: list[_Check] = []
        """What came in this turn of the loop, from whichever connection: it is admitted together."""

    def handle(self, calls: Sequence[Call]) -> None:
        """The batch handler of the transport."""
        checks = [check for call in calls if (check := _read(call)) is not None]
        waiting = [check for check in checks if self._begin(check)]
        if self._gathered:
            self._gathered += waiting
        elif waiting:
            self._gathered = waiting
            self._start(self._admit_gathered(), waiting)

    async def finish(self) -> None:
        """Wait until all calls are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, check: "_Check") -> bool:
        """Take a call as far as memory allows; True if it now waits for admission."""
        try:
            publications = self._snapshot.publications
            operation, key = identify(check.incoming, publications)
            check.key, check.model = key, operation.model
            if not self._snapshot.is_fresh(time.monotonic()):
                raise service_unavailable("Authentication")
            if key is None:
                return self._decide(check, operation, visitor(operation, publications, check.incoming.host))
            if key.credential_id not in self._snapshot.live:
                raise invalid_api_key()
            if key.credential_id in self._snapshot.records:
                return self._decide(check, operation, self._authenticate(key, self._snapshot.records.get(key.credential_id)))
        except Exception as error:
            self._refuse(check, error)
            return False
        self._start(self._look_up(check, operation, key), [check])
        return False

    def _authenticate(self, key: ApiKey, known: KnownCredential | None) -> KnownCredential:
        return authenticate(key, known, self._policy.peppers, datetime.now(UTC))

    def _decide(self, check: "_Check", operation: Operation, known: KnownCredential) -> bool:
        check.owner = known.credential
        if (body := answer_here(check.incoming, operation, known, self._snapshot.publications)) is not None:
            check.reply(200, answer.respond(200, body))
            return False
        now_ms = _wall_ms()
        passage = decide(check.incoming, operation, known, self._snapshot.publications, self._learned, self._policy, now_ms)
        check.wait_for(passage, self._learned.is_due(passage.context.org_id, passage.context.publication_id, now_ms))
        return True

    async def _look_up(self, check: "_Check", operation: Operation, key: ApiKey) -> None:
        try:
            waits = self._decide(check, operation, self._authenticate(key, await self._lookup.find(key.credential_id)))
        except ReaderUnavailable as error:
            log.warning("cannot read a credential", credential=key.hint, reason=str(error))
            raise service_unavailable("Authentication") from error
        if waits:
            await self._admit([check])

    async def _admit_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        await self._admit(gathered)

    async def _admit(self, checks: Sequence["_Check"]) -> None:
        for check, answered in zip(checks, await self._admissions.decide([check.wanted for check in checks]), strict=True):
            if isinstance(answered, Answer) and answered.decision.unseeded:
                self._start(self._admit_seeding(check, answered), [check])
            else:
                self._end(check, answered)

    async def _admit_seeding(self, check: "_Check", answered: Answer) -> None:
        self._end(check, await self._admissions.decide_seeding(check.wanted, answered.decision.unseeded, answered.waited_s))

    def _end(self, check: "_Check", answered: Answer | ApiError) -> None:
        try:
            if isinstance(answered, ApiError):
                raise answered
            self._pass(check, answered.decision, answered.in_store)
        except Exception as error:
            self._refuse(check, error)

    def _pass(self, check: "_Check", decision: Decision, in_store: bool) -> None:
        passage = check.passage
        context = passage.context
        if decision.learned is not None:
            self._learned.note(context.org_id, context.publication_id, decision.learned)
        _count(decision)
        if decision.reservation_id is None:
            check.states = decision.states
            raise refusal(decision.states, passage.plan.hold)
        context = passage.admitted(decision.reservation_id, decision.held_tokens, in_store, _wall_ms())
        _admissions_of(context.endpoint).inc()
        path = context.path if context.path != check.incoming.target else None
        check.reply(200, answer.allow(contexts.sign(context, self._policy.signing_keys), context.model, limit_headers(decision.states), path))

    def _start(self, work: Coroutine[Any, Any, None], checks: Sequence["_Check"]) -> None:
        task = asyncio.create_task(self._answered(work, checks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, work: Coroutine[Any, Any, None], checks: Sequence["_Check"]) -> None:
        try:
            await work
        except Exception as error:
            for check in checks:
                self._refuse(check, error)

    def _refuse(self, check: "_Check", error: Exception) -> None:
        """Answer with the error, and say so in one line without anything secret: the query of the URL stays out."""
        incoming = check.incoming
        if not isinstance(error, ApiError):
            log.error("check failed", request_id=incoming.request_id, exc_info=error)
            error = service_unavailable("Authorization")
        check.reply(error.status, _refusal(error, incoming.target, traditional=self._asks_traditional(check)))
        credential = check.key.hint if check.key else None
        org_id = check.owner.org_id if check.owner else None
        self._security.count(error.status, error.code, org_id, credential, client_address(incoming.headers), check.sample(error))
        log.info(
            "request refused",
            status=error.status,
            code=error.code,
            method=incoming.method[:16],
            path=incoming.target.partition("?")[0][:200],
            request_id=incoming.request_id[:128],
            credential=credential,
            org_id=org_id,
        )

    def _asks_traditional(self, check: "_Check") -> bool:
        """Whether the path names a traditional model of the one who asks: errors on a path of both protocols go by it."""
        if check.owner is None or check.model is None:
            return False
        return is_traditional(self._snapshot.publications, check.model, check.owner.org_id, check.incoming.host)


class _Check:
    """One call on its way. `key`, `model`, `owner`, `passage`, `wanted` and `states` are filled in as they become known."""

    __slots__ = ("_call", "_started", "incoming", "key", "model", "owner", "passage", "states", "wanted")
    passage: Passage
    wanted: Wanted

    def __init__(self, call: Call, incoming: Incoming) -> None:
        self._call = call
        self._started = time.perf_counter()
        self.incoming = incoming
        self.key: ApiKey | None = None
        self.model: str | None = None
        """The one that the path names."""
        self.owner: Credential | None = None
        self.states: Sequence[LimitState] = ()

    def wait_for(self, passage: Passage, asks_learned: bool) -> None:
        self.passage = passage
        self.wanted = Wanted(passage.admission(secrets.randbits(80), asks_learned=asks_learned), passage.grace_tokens)

    def sample(self, error: ApiError) -> RefusedRequest | None:
        """What is kept of it when it is refused; nothing of requests without a key that we know."""
        if self.owner is None:
            return None
        model = self.passage.context.model if self.states else None  # what limits decide has come so far
        return sample_of(self.incoming, error, self.owner, model, self.states, _wall_ms())

    def reply(self, status: int, message: bytes) -> None:
        self._call.reply(message)
        _checks_with(status).inc()
        telemetry.CHECK_SECONDS.observe(time.perf_counter() - self._started)


@cache
def _checks_with(status: int) -> Counter:
    """To find the counter of a label takes longer than to count."""
    return telemetry.CHECKS.labels(status)


@cache
def _admissions_of(endpoint: Endpoint) -> Counter:
    return telemetry.ADMISSIONS.labels(endpoint)


def _read(call: Call) -> _Check | None:
    try:
        http = CheckRequest.FromString(call.message).attributes.request.http
    except DecodeError:
        call.fail(Status.INVALID_ARGUMENT, "not a CheckRequest")
        return None
    return _Check(call, Incoming(http.method, http.path, http.headers, http.raw_body or http.body.encode(), http.host))


def _refusal(error: ApiError, path: str, *, traditional: bool) -> bytes:
    """An answer whatever happens: one that cannot be rendered must not take the batch along."""
    try:
        return answer.refuse(error, path, traditional=traditional)
    except Exception:
        log.exception("a refusal could not be rendered", code=error.code)
        return answer.refuse(service_unavailable("Authorization"), path)


def _count(decision: Decision) -> None:
    """Count which limits refused, and which would have if they were not only tried out."""
    for state in decision.states:
        if state.retry_ms:
            counter = telemetry.WOULD_REFUSE if state.limit.dry_run else telemetry.LIMIT_REFUSALS
            counter.labels(*setting_of(state.limit)).inc()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
