"""How the store is asked where somebody waits: through a breaker, within the deadline, with a line in the log when it goes and when it is back.

What is done while the store is away is for who asks: `extauth.admission`, `ratelimit.grpc_service`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ias import logs, telemetry
from ratelimit.breaker import Breaker
from ratelimit.ports import StoreUnavailable
from ratelimit.replicas import Replicas

log = logs.get(__name__)
_T = TypeVar("_T")


class StoreGate:
    """`deadline_ms` is the one that the store keeps by itself."""

    def __init__(self, replicas: Replicas, deadline_ms: int) -> None:
        self._replicas = replicas
        self._deadline_s = deadline_ms / 1000
        self._breaker = Breaker()
        self._away = False

    @property
    def is_open(self) -> bool:
        """Whether the store is asked no more, but for probes."""
        return self._breaker.is_open

    async def ask(self, question: Callable[[], Coroutine[Any, Any, _T]], left_s: float | None = None) -> _T | None:
        """Return the answer; None: the store is away. `left_s`: what is left of the deadline, if the request has waited before."""
        left_s = self._deadline_s if left_s is None else left_s
        if left_s <= 0 or not self._breaker.allows(_now_ms(), random.random()):  # noqa: S311  (spreads probes)
            return None
        due = time.monotonic() + left_s
        try:
            if left_s < self._deadline_s:
                answer = await asyncio.wait_for(question(), left_s)
            else:
                answer = await question()
        except (StoreUnavailable, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                telemetry.STORE_DEADLINE_LATE_SECONDS.observe(max(0.0, time.monotonic() - due))
            self._breaker.failed(_now_ms(), random.random())  # noqa: S311  (spreads probes)
            self._store_is(error)
            return None
        self._breaker.succeeded()
        self._store_is(None)
        return answer

    def _store_is(self, away: Exception | None) -> None:
        if (away is not None) == self._away:
            return
        self._away = away is not None
        if away is not None:
            log.warning("Valkey does not answer: this process decides limits alone", reason=str(away), replicas=self._replicas.count)
        else:
            log.info("Valkey is back")


def _now_ms() -> float:
    return time.monotonic() * 1000
