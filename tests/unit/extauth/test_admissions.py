"""The store behind its breaker, seeding, and what is left when either fails: with a store that does as it is told."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from extauth.admission import Admissions, Answer, Wanted
from extauth.seeding import BudgetSeeder
from ias import telemetry
from ias.change_log import ReaderUnavailable
from ias.errors import ApiError
from ratelimit.breaker import FAILURES
from ratelimit.ports import Admission, AdmissionStore, BudgetKey, Decision, Limit, Period, StoreUnavailable, TokenHold, Unit, Unseeded
from ratelimit.replicas import Replicas

BUDGET = Limit("monthly token budget", "org", 0, 1, 1_000, Unit.TOKENS, Period.MONTH)
COUNTER = Unseeded(BudgetKey("o", "org", Period.MONTH, 0, 100), since_ms=7)
PASSED, NOT_SEEDED = Decision("r", ()), Decision(None, (), unseeded=(COUNTER,))


class Store:
    """Gives its answers one after the other, the last one for ever; an exception is raised."""

    def __init__(self, *answers: Decision | Exception | Callable[[], object]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.seeded: list[tuple[int, int]] = []
        self.never_seeds = False

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, Decision):
            await asyncio.Event().wait()
        return [answer for _ in admissions]

    async def seed(self, _: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        if self.never_seeds:
            await asyncio.Event().wait()
        self.seeded.append((since_ms, base))
        return was is None


class Ledger:
    def __init__(self, spent: int | Exception = 5) -> None:
        self._spent = spent
        self.reads = 0

    async def spent(self, _: BudgetKey, until_ms: int) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        assert until_ms == COUNTER.since_ms
        if isinstance(self._spent, Exception):
            raise self._spent
        return self._spent


class Register:
    async def beat(self, _: int) -> tuple[int, int]:
        return 1_000, 0


def admissions(store: Store, ledger: Ledger | None = None, deadline_ms: int = 1_000) -> Admissions:
    asked: AdmissionStore = store  # type: ignore[assignment]  # the rest of the port is not called here
    return Admissions(asked, BudgetSeeder(ledger or Ledger(), asked, 5), Replicas(Register(), 1), deadline_ms)


def wanted(grace: int = 0, *limits: Limit) -> Wanted:
    return Wanted(Admission("o", 1, limits, b"", tokens=TokenHold(10)), grace)


async def test_what_the_store_decides_is_in_it() -> None:
    assert await admissions(Store(PASSED)).decide([wanted(), wanted()]) == [Answer(PASSED, True)] * 2


async def test_a_store_that_is_away_is_asked_no_more_after_some_failures() -> None:
    store = Store(StoreUnavailable("gone"))
    asked = admissions(store)
    for _ in range(10):
        (answer,) = await asked.decide([wanted()])
        assert isinstance(answer, Answer)
        assert (answer.in_store, answer.decision.reservation_id is not None) == (False, True)
    assert store.asked == FAILURES


async def test_counters_without_a_base_are_seeded_once_for_all_who_wait() -> None:
    store, ledger = Store(PASSED), Ledger(spent=42)
    asked = admissions(store, ledger)
    answers = await asyncio.gather(*(asked.decide_seeding(wanted(0, BUDGET), [COUNTER]) for _ in range(5)))
    assert answers == [Answer(PASSED, True)] * 5
    assert (ledger.reads, store.seeded) == (1, [(7, 42)])


async def test_a_store_that_is_emptied_while_it_is_seeded_is_seeded_again_but_not_for_ever() -> None:
    twice = Store(NOT_SEEDED, PASSED)
    assert await admissions(twice).decide_seeding(wanted(0, BUDGET), [COUNTER]) == Answer(PASSED, True)
    never = Store(NOT_SEEDED)
    answer = await admissions(never).decide_seeding(wanted(0, BUDGET), [COUNTER])
    assert isinstance(answer, ApiError)
    assert (answer.status, never.asked) == (503, 3)


@pytest.mark.parametrize("ledger", [Ledger(ReaderUnavailable("away")), Ledger(5)])
async def test_a_base_that_cannot_be_had_leaves_the_grace(ledger: Ledger) -> None:
    store = Store(StoreUnavailable("gone"))
    asked = admissions(store, ledger)
    graced = await asked.decide_seeding(wanted(100, BUDGET), [COUNTER])
    assert isinstance(graced, Answer)
    assert (graced.in_store, graced.decision.held_tokens) == (False, 10)
    refused = await asked.decide_seeding(wanted(0, BUDGET), [COUNTER])
    assert isinstance(refused, ApiError)
    assert refused.status == 503


async def test_asking_again_takes_what_is_left_of_the_deadline_and_no_more() -> None:
    store = Store(NOT_SEEDED, lambda: "never")
    answer = await admissions(store, deadline_ms=50).decide_seeding(wanted(100, BUDGET), [COUNTER])
    assert isinstance(answer, Answer)
    assert not answer.in_store
    assert store.asked <= 2


async def test_all_waits_for_the_store_share_one_deadline() -> None:
    """The first question, the base that is written, and the question after it."""
    frozen = Store(PASSED)
    frozen.never_seeds = True
    for store, waited_s in ((Store(lambda: "never"), 0.8), (frozen, 0.8), (frozen, 2.0)):
        before = telemetry.STORE_WAIT_SECONDS._sum.get()
        answer = await admissions(store, deadline_ms=1_000).decide_seeding(wanted(100, BUDGET), [COUNTER], waited_s)
        assert isinstance(answer, Answer)
        assert not answer.in_store
        assert telemetry.STORE_WAIT_SECONDS._sum.get() - before < max(1.0, waited_s) + 0.6, "a deadline of its own would add a second"


async def test_a_number_of_replicas_is_never_less_than_one() -> None:
    replicas = Replicas(Register(), 1)
    await replicas.beat()
    assert replicas.count == 1
