"""The job that keeps budgets true: counters follow the ledger, and thresholds that were reached become alerts.

A counter's base is the ledger's sum of the requests before the counter began; their events may still be on their way
when it begins, so the sum is taken again until nothing can change it any more. Everything here is idempotent: several
workers may do it at the same time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.audit.repository import row_of
from controlplane.audit.rules import Attempt, Outcome
from controlplane.budgets import rules
from controlplane.budgets.ports import BudgetCounters
from controlplane.budgets.repository import BudgetRepository
from controlplane.budgets.rules import Budget, Use
from controlplane.ids import new_id
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs
from ratelimit.ports import BudgetKey, BudgetState, StoreUnavailable

PAUSE_S = 5.0
_REST = 4
"""The pause is at least so many times as long as the pass: many budgets never keep a worker busy."""
_PAGE = 500
_LEDGER_PASSES = 12
"""Budgets without a counter are summed up in the ledger at every so many passes: nothing is admitted on them."""
_COUNTERS_TIMEOUT_S = 5.0

log = logs.get(__name__)

_Counter = tuple[BudgetKey, int]
_Alert = tuple[UUID, BudgetKey, int]


class BudgetKeeper:
    """Looks at every budget again and again. `now` is wall-clock time."""

    def __init__(self, engine: AsyncEngine, counters: BudgetCounters, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._counters = counters
        self._now = now
        self._watched_since_ms = rules.unix_ms(now())
        self._passes = count()
        self._next_look: dict[_Counter, int | None] = {}
        self._raised: set[_Alert] = set()

    async def run(self, finish: asyncio.Event) -> None:
        """Make passes until `finish` is set; a pass in hand is finished first."""
        loop = asyncio.get_running_loop()
        while not finish.is_set():
            began = loop.time()
            try:
                await self.step()
            except (SQLAlchemyError, OSError) as error:
                log.warning("budgets were not looked at", reason=f"{type(error).__name__}: {error}", retry_in_seconds=PAUSE_S)
            except Exception:  # a mistake here must not stop the ledger, which lives in the same process
                log.exception("budgets were not looked at", retry_in_seconds=PAUSE_S)
            try:
                async with asyncio.timeout(max(PAUSE_S, _REST * (loop.time() - began))):
                    await finish.wait()
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Make one pass over all budgets. Raises what PostgreSQL raises."""
        ask_ledger = next(self._passes) % _LEDGER_PASSES == 0
        next_look: dict[_Counter, int | None] = {}
        raised: set[_Alert] = set()
        after = None
        while page := await self._page(after):
            after = (page[-1].subject_id, page[-1].period)
            now = self._now()
            budgets = [budget.at(now) for budget in page]
            keys = [budget.counter(now) for budget in budgets]
            states = await self._follow_ledger(await self._read(keys), rules.unix_ms(now), next_look)
            uses = await self._uses(keys, states, ask_ledger)
            for budget, key, use in zip(budgets, keys, uses, strict=True):
                if use is not None:
                    raised |= await self._alert(budget, key, use)
        self._next_look, self._raised = next_look, raised

    async def _page(self, after: tuple[UUID, str] | None) -> list[Budget]:
        async with unit_of_work(self._engine) as uow:
            return await BudgetRepository(uow, EVERYTHING).living(after, _PAGE)

    async def _read(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        try:
            async with asyncio.timeout(_COUNTERS_TIMEOUT_S):
                return await self._counters.budgets(keys)
        except (StoreUnavailable, TimeoutError) as error:
            log.debug("counters of budgets cannot be read", reason=str(error))
            return [None] * len(keys)

    async def _follow_ledger(self, states: list[BudgetState | None], now_ms: int, next_look: dict[_Counter, int | None]) -> list[BudgetState | None]:
        """Set the bases that may have changed; return the states with them."""
        due: dict[int, BudgetState] = {}
        for place, state in enumerate(states):
            if state is not None:
                counter = (state.budget, state.since_ms)
                look = next_look[counter] = self._next_look.get(counter, now_ms)
                if state.base is None or (look is not None and look <= now_ms):
                    due[place] = state
        bases = await self._spent([(state.budget, state.since_ms) for state in due.values()])
        for (place, state), base in zip(due.items(), bases, strict=True):
            if base == state.base or await self._seed(state, base):
                next_look[state.budget, state.since_ms] = rules.next_look_ms(state.since_ms, self._watched_since_ms, now_ms)
                states[place] = replace(state, base=base)
        return states

    async def _seed(self, state: BudgetState, base: int) -> bool:
        budget = state.budget
        try:
            if not await self._counters.seed(budget, state.since_ms, base, state.base):
                return False  # another worker was faster, perhaps with a newer sum
        except StoreUnavailable as error:
            log.debug("base of a budget was not set", reason=str(error))
            return False
        log.info("base of a budget follows the ledger", org_id=budget.org_id, scope=budget.scope, base=base, before=state.base)
        return True

    async def _uses(self, keys: Sequence[BudgetKey], states: Sequence[BudgetState | None], ask_ledger: bool) -> list[Use | None]:
        uses = [rules.use_of(state) for state in states]
        if ask_ledger:
            unknown = [place for place, use in enumerate(uses) if use is None]
            for place, spent in zip(unknown, await self._spent([(keys[place], keys[place].end_ms) for place in unknown]), strict=True):
                uses[place] = Use(spent, 0, live=False)
        return uses

    async def _spent(self, sums: Sequence[_Counter]) -> list[int]:
        if not sums:
            return []
        async with unit_of_work(self._engine) as uow:
            return await BudgetRepository(uow, EVERYTHING).spent(sums)

    async def _alert(self, budget: Budget, key: BudgetKey, use: Use) -> set[_Alert]:
        """Raise the alerts that are not raised yet; return all that are due."""
        tokens = budget.effective_tokens
        due = {(budget.subject_id, key, threshold) for threshold in rules.reached(budget.thresholds, use.spent, tokens)}
        for alert in sorted(due - self._raised, key=lambda alert: alert[2]):
            await self._raise(budget, key, alert[2], tokens, use.spent)
        return due

    async def _raise(self, budget: Budget, key: BudgetKey, threshold: int, tokens: int, spent: int) -> None:
        facts = {
            "threshold": threshold,
            "period": budget.period,
            "tokens": tokens,
            "spent": spent,
            f"target_{budget.scope}_id": str(budget.subject_id),
        }
        async with unit_of_work(self._engine) as uow:
            if not await BudgetRepository(uow, EVERYTHING).raise_alert(new_id(), budget, key.start_ms, threshold, tokens, spent):
                return
            await uow.execute(row_of(Attempt("budget.threshold_reached", org_id=budget.org_id, payload=dict(facts)), Outcome.OK))
        log.warning("threshold of a budget reached", org_id=str(budget.org_id), **facts)
