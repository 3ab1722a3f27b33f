"""The two admission stores on a clock that the test sets, and short words for what tests do with them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from redis import Redis

from ratelimit.periods import period_at
from ratelimit.ports import (
    Admission,
    AdmissionStore,
    BudgetKey,
    BudgetState,
    Decision,
    Limit,
    Period,
    Reservation,
    TokenHold,
    Unit,
)
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.admission_history import CLAIM_TTL_MS
from tests.support.admission_valkey import PuppetValkey
from tests.support.valkey import TestValkey

NOON = int(datetime(2026, 10, 14, 12, tzinfo=UTC).timestamp() * 1000)
NEW_YEAR = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 24 * 3_600_000
RPM = Limit("requestsPerMinute", "org:rpm", 60, 60_000, 10)
TPM = Limit("tokensPerMinute", "org:tpm", 600, 60_000, 1_000, Unit.TOKENS)
STREAMS = Limit("concurrentRequests", "key:k:streams", 0, 1, 2, Unit.STREAMS)
BUDGET = Limit("monthly budget", "org", 0, 1, 1_000, Unit.TOKENS, Period.MONTH)
USER_BUDGET = Limit("daily budget", "user:u", 0, 1, 300, Unit.TOKENS, Period.DAY)


@dataclass
class World:
    """A store, its clock, and short words for what the tests do."""

    store: AdmissionStore
    _set_clock: Callable[[int], None]
    _look: Callable[[], None]
    now: int = NOON
    number: int = 0

    def at(self, now: int) -> None:
        self.now = now
        self._set_clock(now)
        self._look()

    def later(self, ms: int) -> None:
        self.at(self.now + ms)

    async def ask(self, *limits: Limit, tokens: int | TokenHold = 0, cost: int = 1, publication: str = "") -> Decision:
        self.number += 1
        hold = tokens if isinstance(tokens, TokenHold) else TokenHold(tokens)
        admission = Admission("org", self.number, limits, b"claim", cost, hold, "u", "k", publication)
        return (await self.store.admit([admission]))[0]

    async def admit(self, *limits: Limit, tokens: int | TokenHold = 0) -> Reservation:
        decision = await self.ask(*limits, tokens=tokens)
        if decision.unseeded:
            for found in decision.unseeded:
                await self.store.seed(found.budget, found.since_ms, 0)
            decision = await self.ask(*limits, tokens=tokens)
        assert decision.reservation_id is not None, decision
        return reservation(decision.reservation_id)

    async def budget(self, limit: Limit = BUDGET, at: int | None = None) -> BudgetState:
        assert limit.calendar is not None
        key = BudgetKey("org", limit.bucket, limit.calendar, *period_at(limit.calendar, self.now if at is None else at))
        (state,) = await self.store.budgets([key])
        assert state is not None
        return state

    async def spent(self, limit: Limit = BUDGET, at: int | None = None) -> tuple[int, int]:
        state = await self.budget(limit, at)
        return (state.base or 0) + state.own, state.held


def reservation(rid: str, *, in_store: bool = True) -> Reservation:
    return Reservation("org", "u", "k", rid, in_store)


@pytest.fixture(params=["memory", "valkey"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        now = [NOON]
        yield World(MemoryAdmissionStore(lambda: now[0], CLAIM_TTL_MS), lambda ms: now.__setitem__(0, ms), lambda: None)
        return
    server: TestValkey = request.getfixturevalue("valkey")
    with Redis.from_url(server.url) as client:
        async with PuppetValkey(server.url, client) as puppet:
            puppet.set_clock(NOON)
            yield World(puppet.store, puppet.set_clock, puppet.look_everywhere)
