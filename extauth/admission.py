"""Admission as a request meets it: the store decides; while it cannot, this process does. Outages: design §4.

Three things may go wrong. The store is away: every limit is decided by the local share. A budget counter has no base yet: it is
read from the ledger, and the store asked again. The ledger is away then: only the local grace can let a request with a
budget pass. Nothing here waits longer on the store than its deadline, and a request is decided exactly once.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from extauth.breaker import Breaker
from extauth.local_share import LocalShare
from extauth.ports import ReaderUnavailable
from extauth.replicas import Replicas
from extauth.seeding import BudgetSeeder
from ias import logs, telemetry
from ias.errors import ApiError
from ratelimit.ports import Admission, AdmissionStore, Decision, StoreUnavailable, Unseeded

log = logs.get(__name__)
_SEEDINGS = 3
"""A store that is emptied again and again meanwhile counts as away."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request that wants to pass. `grace_tokens`: what its org may take in this process while budgets cannot be checked."""

    admission: Admission
    grace_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision; `in_store` is false when the store knows nothing of it."""

    decision: Decision
    in_store: bool


class Admissions:
    """Asks the store, with a breaker in front of it."""

    def __init__(self, store: AdmissionStore, seeder: BudgetSeeder, replicas: Replicas, deadline_ms: int) -> None:
        self._store = store
        self._seeder = seeder
        self._replicas = replicas
        self._deadline_ms = deadline_ms
        self._breaker = Breaker()
        self._local = LocalShare()
        self._away = False

    async def decide(self, batch: Sequence[Wanted]) -> list[Answer | ApiError]:
        """Decide a batch in one round trip. What comes back with `unseeded` counters is not decided yet: see `decide_seeding`."""
        decisions = await self._ask([wanted.admission for wanted in batch], self._deadline_ms)
        if decisions is None:
            return [self._alone(wanted) for wanted in batch]
        return [Answer(decision, True) for decision in decisions]

    async def decide_seeding(self, wanted: Wanted, counters: Sequence[Unseeded]) -> Answer | ApiError:
        """Decide a request that waits for the base of its budgets."""
        left_ms: float = self._deadline_ms
        for _ in range(_SEEDINGS):
            try:
                await self._seeder.seed(counters)
            except (ReaderUnavailable, StoreUnavailable) as error:
                log.warning("budgets cannot be checked", reason=str(error))
                break
            started = _now_ms()
            decisions = await self._ask([wanted.admission], left_ms)
            left_ms -= _now_ms() - started
            if decisions is None:
                break
            if not (counters := decisions[0].unseeded):
                return Answer(decisions[0], True)
        return self._alone(wanted)

    async def _ask(self, admissions: Sequence[Admission], left_ms: float) -> list[Decision] | None:
        """None: the store is away."""
        if left_ms <= 0 or not self._breaker.allows(_now_ms(), random.random()):  # noqa: S311  (spreads probes)
            return None
        try:
            if left_ms < self._deadline_ms:
                decisions = await asyncio.wait_for(self._store.admit(admissions), left_ms / 1000)
            else:
                decisions = await self._store.admit(admissions)  # it keeps the whole deadline by itself
        except (StoreUnavailable, TimeoutError) as error:
            self._breaker.failed(_now_ms(), random.random())  # noqa: S311  (spreads probes)
            self._store_is(error)
            return None
        self._breaker.succeeded()
        self._store_is(None)
        return decisions

    def _alone(self, wanted: Wanted) -> Answer | ApiError:
        telemetry.STORE_FALLBACKS.inc()
        replicas = self._replicas
        try:
            decision = self._local.decide(wanted.admission, wanted.grace_tokens, replicas.count, int(_now_ms()), replicas.server_now_ms())
        except ApiError as error:
            return error
        return Answer(decision, False)

    def _store_is(self, away: Exception | None) -> None:
        """One line in the log when the store goes and one when it is back."""
        if (away is not None) == self._away:
            return
        self._away = away is not None
        if away is not None:
            log.warning("Valkey does not answer: this process decides limits alone", reason=str(away), replicas=self._replicas.count)
        else:
            log.info("Valkey is back")


def _now_ms() -> float:
    return time.monotonic() * 1000
