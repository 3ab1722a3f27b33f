"""Admission as a request meets it: the store decides; while it cannot, this process does. Outages: design §4.

Three things may go wrong. The store is away: every limit is decided by the local share. A budget counter has no base yet: it is
read from the ledger, and the store asked again. The ledger is away then: only the local grace can let a request with a
budget pass. Nothing here waits longer on the store than its deadline, and a request is decided exactly once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from extauth.local_share import LocalShare
from extauth.seeding import BudgetSeeder, Seeding
from ias import logs, telemetry
from ias.change_log import ReaderUnavailable
from ias.errors import ApiError
from ratelimit.ports import Admission, AdmissionStore, Decision, StoreUnavailable, Unseeded
from ratelimit.replicas import Replicas
from ratelimit.store_gate import StoreGate

log = logs.get(__name__)
_SEEDINGS = 3
"""A store that is emptied again and again meanwhile counts as away."""


class Wanted(msgspec.Struct, frozen=True):
    """One request that wants to pass. `grace_tokens`: what its org may take in this process while budgets cannot be checked."""

    admission: Admission
    grace_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision; `in_store` is false when the store knows nothing of it. `waited_s`: for the store."""

    decision: Decision
    in_store: bool
    waited_s: float = field(default=0.0, compare=False)


class Admissions:
    """Asks the store, with a breaker in front of it."""

    def __init__(self, store: AdmissionStore, seeder: BudgetSeeder, replicas: Replicas, deadline_ms: int) -> None:
        self._store = store
        self._seeder = seeder
        self._replicas = replicas
        self._deadline_s = deadline_ms / 1000
        self._gate = StoreGate(replicas, deadline_ms)
        self._local = LocalShare()

    async def decide(self, batch: Sequence[Wanted]) -> list[Answer | ApiError]:
        """Decide a batch in one round trip. What comes back with `unseeded` counters is not decided yet: see `decide_seeding`."""
        asked = time.monotonic()
        decisions = await self._gate.ask(lambda: self._store.admit([wanted.admission for wanted in batch]))
        waited_s = time.monotonic() - asked
        telemetry.STORE_WAIT_SECONDS.observe(waited_s)
        if decisions is None:
            return [self._alone(wanted) for wanted in batch]
        return [Answer(decision, True, waited_s) for decision in decisions]

    async def decide_seeding(self, wanted: Wanted, counters: Sequence[Unseeded], waited_s: float = 0.0) -> Answer | ApiError:
        """Decide a request that waits for the base of its budgets, and has waited for the store already: all its waits share one deadline."""
        for _ in range(_SEEDINGS):
            try:
                seedings = await self._seeder.read(counters)
            except ReaderUnavailable as error:
                log.warning("budgets cannot be checked", reason=str(error))
                break
            asked = time.monotonic()
            decision = await self._seed_and_ask(wanted, seedings, asked + self._deadline_s - waited_s)
            waited_s += time.monotonic() - asked
            if decision is None:
                break
            if not (counters := decision.unseeded):
                telemetry.STORE_WAIT_SECONDS.observe(waited_s)
                return Answer(decision, True, waited_s)
        telemetry.STORE_WAIT_SECONDS.observe(waited_s)
        return self._alone(wanted)

    async def _seed_and_ask(self, wanted: Wanted, seedings: Sequence[Seeding], until: float) -> Decision | None:
        try:
            await self._seeder.write(seedings, max(0.0, until - time.monotonic()))
        except StoreUnavailable as error:
            log.warning("budgets cannot be checked", reason=str(error))
            return None
        decisions = await self._gate.ask(lambda: self._store.admit([wanted.admission]), until - time.monotonic())
        return decisions[0] if decisions else None

    def _alone(self, wanted: Wanted) -> Answer | ApiError:
        telemetry.STORE_FALLBACKS.inc()
        replicas = self._replicas
        try:
            decision = self._local.decide(wanted.admission, wanted.grace_tokens, replicas.count, int(_now_ms()), replicas.server_now_ms())
        except ApiError as error:
            return error
        return Answer(decision, False)


def _now_ms() -> float:
    return time.monotonic() * 1000
