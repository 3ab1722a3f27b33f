"""Envoy's `ShouldRateLimit`: all calls of one turn are decided in one round trip to the store.

Nothing ends without an answer. What we cannot decide is answered by our own policy and never by an error: Envoy lets pass what fails.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter

from ias import logs, telemetry
from ias.errors import ApiError, rate_limited
from ias.transport import Call, Status
from ratelimit.descriptors import CurrentLimit, InvalidRequest, LimitedRequest, read
from ratelimit.hits import HitStore
from ratelimit.hits_local import LocalHits
from ratelimit.limit_rules import LimitRule
from ratelimit.ports import LimitState
from ratelimit.rate_limit_answer import answer, refuse_all, refuses
from ratelimit.replicas import Replicas
from ratelimit.store_gate import StoreGate

log = logs.get(__name__)
_CANNOT_TELL = rate_limited("requests", "limits cannot be checked now", 1_000)
_FAILED = rate_limited("requests", "this request could not be checked", 1_000)


class RateLimitService:
    """Decides by the store; while it is away, by `when_store_away` (`ratelimit.settings`)."""

    def __init__(
        self,
        store: HitStore,
        rules: Sequence[LimitRule],
        replicas: Replicas,
        store_timeout_ms: int,
        *,
        tell_limits: bool = True,
        when_store_away: str = "share",
    ) -> None:
        self._store = store
        self._rules = rules
        self._replicas = replicas
        self._gate = StoreGate(replicas, store_timeout_ms)
        self._local = LocalHits()
        self._tell_limits = tell_limits
        self._when_store_away = when_store_away
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathered: list[_Limited] = []
        """What came in this turn of the loop, from whichever connection: it is decided together."""

    def handle(self, calls: Sequence[Call]) -> None:
        """The batch handler of the transport."""
        waiting = [limited for call in calls if (limited := self._begin(call)) is not None]
        if self._gathered:
            self._gathered += waiting
        elif waiting:
            self._gathered = waiting
            task = asyncio.create_task(self._decide_gathered())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all calls are answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, call: Call) -> "_Limited | None":
        """Read a call; None if it is answered: nothing of it has a limit, or too much."""
        try:
            limited = _Limited(call, read(call.message, self._rules))
        except InvalidRequest as error:
            call.fail(Status.INVALID_ARGUMENT, str(error))
            _counted("invalid").inc()
            return None
        except ApiError as error:
            call.reply(refuse_all(0, error))
            _counted("over_limit").inc()
            return None
        if limited.request.hits.hits:
            return limited
        limited.reply(answer(limited.request.limits, (), False), over=False)
        return None

    async def _decide_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        try:
            for limited, states in zip(gathered, await self._decide(gathered), strict=True):
                self._end(limited, states)
        except Exception:
            log.exception("rate limits could not be decided")
            for limited in gathered:
                limited.reply(refuse_all(len(limited.request.limits), _FAILED), over=True)

    async def _decide(self, gathered: Sequence["_Limited"]) -> Sequence[Sequence[LimitState] | None]:
        """The states of each request; None: nobody can tell."""
        asked = time.monotonic()
        taken = await self._gate.ask(lambda: self._store.take([limited.request.hits for limited in gathered]))
        telemetry.STORE_WAIT_SECONDS.observe(time.monotonic() - asked)
        if taken is not None:
            return taken
        telemetry.STORE_FALLBACKS.inc(len(gathered))
        if self._when_store_away != "share":
            return [None] * len(gathered)
        now_ms = int(time.monotonic() * 1_000)
        return [self._local.take(limited.request.hits, self._replicas.count, now_ms) for limited in gathered]

    def _end(self, limited: "_Limited", states: Sequence[LimitState] | None) -> None:
        limits = limited.request.limits
        if states is not None:
            _count([limit for limit in limits if limit is not None], states)
            limited.reply(answer(limits, states, self._tell_limits), over=any(map(refuses, states)))
        elif self._when_store_away == "allow":
            limited.reply(answer((None,) * len(limits), (), False), over=False)
        else:
            limited.reply(refuse_all(len(limits), _CANNOT_TELL), over=True)


class _Limited:
    """One call on its way; answered once."""

    __slots__ = ("_answered", "_call", "_started", "request")

    def __init__(self, call: Call, request: LimitedRequest) -> None:
        self._call = call
        self._started = time.perf_counter()
        self._answered = False
        self.request = request

    def reply(self, message: bytes, *, over: bool) -> None:
        if self._answered:
            return
        self._answered = True
        self._call.reply(message)
        _counted("over_limit" if over else "ok").inc()
        telemetry.RATE_LIMIT_SECONDS.observe(time.perf_counter() - self._started)


def _count(limits: Sequence[CurrentLimit], states: Sequence[LimitState]) -> None:
    """Count which limits refused, and which would have if they were not only tried out. Those that descriptors bring are counted as one."""
    for limit, state in zip(limits, states, strict=True):
        if state.retry_ms:
            counter = telemetry.WOULD_REFUSE if state.limit.dry_run else telemetry.LIMIT_REFUSALS
            counter.labels(limit.name or "of the descriptor", "gateway").inc()


@cache
def _counted(result: str) -> Counter:
    """To find the counter of a label takes longer than to count."""
    return telemetry.RATE_LIMIT_REQUESTS.labels(result)
