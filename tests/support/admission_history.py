"""Random histories of an admission store beside the exact model: every answer must be the same, and the books must balance at the end."""

import math
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ias.ids import uuid7_ms
from ratelimit.ports import Admission, AdmissionStore, BudgetKey, Decision, Limit, Period, Reservation, TokenHold, Unit, Unseeded
from tests.support.admission_model import Model, period

ORG = "org"
USERS, KEYS = ("u1", ""), ("k1", "k2")
CLAIM_TTL_MS = 9_000
STEPS = 40
SEEDS = (*range(480), 1148)
"""What `make test` plays and no mutant may survive. The last alone notices whether a bucket that is emptied within a call forgets its time."""
_HOUR = 3_600_000
WRONG_MS = 60_000
STARTS = [
    int(datetime(*start, tzinfo=UTC).timestamp() * 1000)
    for start in ((2026, 10, 31, 23, 58), (2026, 12, 31, 23, 59), (2028, 2, 28, 23), (2027, 3, 7, 23, 59), (2026, 11, 18, 12))
]
"""Near the ends of months, a year, a February that has 29 days, a week; and in the middle of all."""
PAUSES = [0, 0, 0, 1, 7, 20, 700, 5_000, 61_000, 30 * 60_000]
SET_BACK = [1, 1, 20, 20, 3_000, 3_000, 3_000, 3_000, 2 * _HOUR, 36 * _HOUR]
"""So far a clock goes back."""
RESTART_MS = 100
"""A server that comes back empty was away for longer than ids can be ahead of the latest time that its clock has shown."""


@dataclass
class Live:
    """A request as its own extproc knows it."""

    who: Reservation
    tokens: int
    used: int = 0


class History:
    """One org with limits of all kinds, some requests, one store and its model."""

    def __init__(self, seed: int, store: AdmissionStore, set_clock: Callable[[int, int], None]) -> None:
        """`set_clock` is told the store's time, and the latest time that those know of who use it."""
        self.rnd = random.Random(seed)
        self.store, self.model = store, Model()
        self._set_clock = set_clock
        self.now = self.rnd.choice(STARTS) - self.rnd.choice([0, 1, 500, 60_000])
        self.begun = self.latest = self.now
        self.emptied = 0
        self.limits = self._limits()
        self.live: list[Live] = []
        self.ledger: dict[str, tuple[Reservation, int]] = {}
        self.in_flight: list[tuple[Reservation, int]] = []
        self.number = 0
        self.stats = dict.fromkeys(("granted", "refused", "swept", "late", "lost"), 0)

    def _limits(self) -> list[Limit]:
        r = self.rnd
        month, day, week = r.choice([0, 3_000, 20_000]), r.choice([500, 9_000]), r.choice([700, 50_000])
        rpm, tpm = r.randint(1, 300), r.randint(1, 9_000)
        return [
            Limit("rpm", "org:rpm", rpm, 60_000, r.randint(0, 9), dry_run=r.random() < 0.2),
            Limit("rph", "key:rph", r.randint(1, 999), _HOUR, r.randint(1, 99)),
            Limit("tpm", "org:tpm", tpm, 60_000, r.randint(0, 2 * tpm), Unit.TOKENS, dry_run=r.random() < 0.2),
            Limit("tph", "user:tph", r.choice([7, 100_003]), _HOUR, r.choice([1_000, 30_000]), Unit.TOKENS),
            Limit("streams", "org:streams", 0, 1, r.randint(0, 6), Unit.STREAMS, dry_run=r.random() < 0.2),
            Limit("month", "org", 0, 1, month, Unit.TOKENS, Period.MONTH, dry_run=r.random() < 0.2),
            Limit("day", "user:u1", 0, 1, day, Unit.TOKENS, Period.DAY, dry_run=r.random() < 0.2),
            Limit("week", "key:k1", 0, 1, week, Unit.TOKENS, Period.WEEK),
        ]

    async def play(
        self, before_sweep: Callable[[], None], lose: Callable[[], None], check_expiry: Callable[[dict[str, int]], None] = lambda _: None
    ) -> None:
        """Take random steps, then end all requests and balance the books."""
        for _ in range(STEPS):
            self._time_passes()
            before_sweep()
            await self._step(lose)
            await self._compare_counters()
        deadlines = {rid: r.deadline for rid, r in self.model.reservations.items() if r.charged is None}
        if deadlines:
            check_expiry(deadlines)
        await self._end(before_sweep)

    def _time_passes(self) -> None:
        """Or the clock is set back: by any time, but not to more than a minute before the store was last emptied (docs/admission.md)."""
        if self.rnd.random() > 0.15:
            self.go_on(self.rnd.choice(PAUSES))
        elif self.now - (back := self.rnd.choice(SET_BACK)) >= self.emptied - WRONG_MS:
            self.go_on(-back)

    def go_on(self, ms: int) -> None:
        """Whoever asks next lived through the last loss of the store, but may have been started after the clock was set back."""
        self.now += ms
        self.latest = max(self.latest, self.now)
        self.model.known_ms = max(self.emptied, self.rnd.choice([0, self.latest]))
        self._set_clock(self.now, self.model.known_ms)

    async def _step(self, lose: Callable[[], None]) -> None:
        choice = self.rnd.random()
        if choice < 0.45 or not self.live:
            await self._admit()
        elif choice < 0.82:
            await self._one_of_the_live()
        elif choice < 0.90:
            await self._sweep(report=self.rnd.random())
        elif choice < 0.98:
            self._arrive(self.rnd.randrange(len(self.in_flight) + 1))
            await self._reseed()
        elif self.latest + RESTART_MS - self.now <= WRONG_MS:
            self.emptied = self.latest = self.latest + RESTART_MS
            lose()
            self.model = Model()
            self.stats["lost"] += 1
            self.go_on(0)

    # --- admission ---

    async def _admit(self) -> None:
        r = self.rnd
        user, key = r.choice(USERS), r.choice(KEYS)
        mine = [limit for limit in self.limits if limit.calendar is None or limit.bucket in {"org", f"user:{user}", f"key:{key}"}]
        limits = tuple(r.sample(mine, r.randint(0, len(mine))))
        full = r.choice([0, 0, 1, 40, 400, 5_000])
        hold = TokenHold(full, r.choice([100, 100, 10, 50]), r.choice([0, 0, 30, full]), r.choice([0, 0, 1, 200]))
        cost = r.choice([1, 1, 1, 2, 12])
        self.number += 1
        admission = Admission(ORG, self.number, limits, bytes([0, self.number % 256]), cost, hold, user, key)
        if r.random() < 0.15:
            await self._admitted_while_away(user, key)
            return
        decision = await self._decided(admission)
        at, before = self.model.states(limits, cost, hold, self.now)
        who = Reservation(ORG, user, key, decision.reservation_id or "")
        granted = self.model.admit(decision.reservation_id, limits, cost, hold, self.now, CLAIM_TTL_MS, (user, key, admission.claim))
        assert (decision.reservation_id is not None) == (granted is not None), (admission, decision, before)
        self.stats["granted" if granted else "refused"] += 1
        if decision.reservation_id is not None and granted is not None:
            assert (decision.held_tokens, uuid7_ms(uuid.UUID(decision.reservation_id))) == (granted.tokens, at)
            self.live.append(Live(who, granted.tokens))
        self._compare_states(decision, before, at)

    async def _decided(self, admission: Admission) -> Decision:
        decision = (await self.store.admit([admission]))[0]
        unseeded = {(u.budget.scope, u.budget.calendar, u.budget.start_ms, u.since_ms) for u in decision.unseeded}
        assert unseeded == self.model.unseeded(admission.limits, self.now)
        if not unseeded:
            return decision
        assert decision.reservation_id is None
        for found in decision.unseeded:
            await self._seed(found)
        return (await self.store.admit([admission]))[0]

    def _compare_states(self, decision: Decision, before: dict[Limit, tuple[object, int]], at: int) -> None:
        """`remaining` and the time until full are those after the decision, the time to try again that before it."""
        for state in decision.states:
            left, wanted = before[state.limit]
            after = self.model.left(state.limit, self.now, at)
            assert state.remaining == max(0, math.floor(after)), state
            assert state.ms_to_full == self.model.to_full(state.limit, self.now, at), (state, self.model.buckets, self.now)
            if decision.reservation_id is None or wanted > left:  # type: ignore[operator]
                assert state.retry_ms == self.model.wait(state.limit, left, wanted, self.now, at), state  # type: ignore[arg-type]
            else:
                assert state.retry_ms == 0
            if not state.limit.dry_run:
                assert after >= 0 or decision.reservation_id is None, "what is granted leaves no debt"

    async def _admitted_while_away(self, user: str, key: str) -> None:
        """Decided alone, by a clock that is not the store's; settled here later."""
        rid = str(uuid.UUID(int=self.now << 80 | 7 << 76 | 2 << 62 | self.number))
        self.live.append(Live(Reservation(ORG, user, key, rid, in_store=False), 50))

    # --- the life of requests ---

    async def _one_of_the_live(self) -> None:
        live, r = self.rnd.choice(self.live), self.rnd
        who = live.who
        what = r.random()
        if what < 0.30:
            await self._extend(self._some_of_the_live(), r.choice([1, 5_000, _HOUR]))
        elif what < 0.5:
            more = r.choice([1, 64, 3_000])
            held = await self.store.top_up(who, more)
            assert held == self.model.top_up(who.reservation_id, more, self.now), who
            live.tokens += more if held == "granted" else 0
        else:
            await self._settle({live.who: r.choice([0, 0, live.tokens, r.randint(0, live.tokens + 200)]) for live in self._some_of_the_live()})

    def _some_of_the_live(self) -> list[Live]:
        """What one call is about: often one request, sometimes a few."""
        return self.rnd.sample(self.live, min(self.rnd.choice([1, 2, 5]), len(self.live)))

    async def _extend(self, some: Sequence[Live], ttl: int) -> None:
        for live in some:
            live.used += self.rnd.choice([0, 0, 1, 30, live.tokens // 2, live.tokens])
        used = {live.who.reservation_id: self.rnd.choice([0, live.used, live.used]) for live in some}  # told by a process that knows less
        answers = await self.store.extend([live.who for live in some], ttl, used)
        for live, held in zip(some, answers, strict=True):
            assert held == self.model.extend(live.who.reservation_id, self.now, ttl, used[live.who.reservation_id]), live.who
        for live, held in zip(some, answers, strict=True):
            if held == "unknown" and self.rnd.random() < 0.8:
                who = live.who
                for _ in range(2):
                    await self.store.hold_again(who, live.tokens, ttl)
                    self.model.hold_again(who.reservation_id, _at(who), (who.user_id, who.key_id), live.tokens, self.now, ttl)

    async def _settle(self, totals: Mapping[Reservation, int]) -> None:
        for who in totals:
            known = self.model.reservations.get(who.reservation_id)
            self.stats["late"] += known is not None and known.charged is not None
        repeated = list(totals.items()) * self.rnd.choice([1, 1, 2])
        for _ in range(self.rnd.choice([1, 1, 2])):
            await self.store.settle(repeated)
            for who, total in repeated:
                self.model.settle(who.reservation_id, _at(who), (who.user_id, who.key_id), total, self.now, in_store=who.in_store)
        self.live = [live for live in self.live if live.who not in totals]
        self.in_flight += totals.items()

    async def _sweep(self, report: float) -> None:
        found = await self.store.sweep()
        expected = self.model.sweep(self.now)
        assert sorted((s.reservation_id, s.claimed, s.tokens, s.claim) for s in found) == sorted(expected)
        self.stats["swept"] += len(found)
        gone = [s for s in found if self.rnd.random() < report]
        await self.store.reported([(s.org_id, s.reservation_id) for s in gone])
        for swept in gone:
            self.model.reported(swept.reservation_id, self.now)
            who = next(live.who for live in self.live if live.who.reservation_id == swept.reservation_id)
            self.ledger.setdefault(swept.reservation_id, (who, swept.tokens if swept.claimed else 0))

    # --- the books ---

    def _arrive(self, count: int) -> None:
        """Events reach the ledger in any order; a real one replaces a `lost` one."""
        self.rnd.shuffle(self.in_flight)
        for who, total in self.in_flight[:count]:
            self.ledger[who.reservation_id] = (who, total)
        del self.in_flight[:count]

    def spent(self, budget: BudgetKey, until: int | None = None) -> int:
        """The ledger's sum of a counter, of requests admitted before `until`."""
        scopes = {rid: {"org", f"user:{who.user_id}", f"key:{who.key_id}"} for rid, (who, _) in self.ledger.items()}
        end = budget.end_ms if until is None else min(until, budget.end_ms)
        return sum(total for rid, (who, total) in self.ledger.items() if budget.start_ms <= _at(who) < end and budget.scope in scopes[rid])

    async def _seed(self, found: Unseeded) -> None:
        base = self.spent(found.budget, found.since_ms)
        counter = self.model.counters[found.budget.scope, found.budget.calendar, found.budget.start_ms]
        for since, was in ((found.since_ms - 1, counter.base), (found.since_ms, (counter.base or 0) + 1)):
            assert not await self.store.seed(found.budget, since, 1 << 40, was), "of a counter or a base that is no more"
        assert await self.store.seed(found.budget, found.since_ms, base, counter.base)
        counter.base = base

    async def _reseed(self) -> None:
        """What the repeating job does."""
        for (scope, calendar, start), counter in list(self.model.counters.items()):
            budget = BudgetKey(ORG, scope, calendar, start, period(calendar, start)[1])
            await self._seed(Unseeded(budget, counter.since))

    async def _compare_counters(self) -> None:
        """All that there may be: those of the model, and those that neither should have made."""
        scopes = ("org", "user:u1", "key:k1", "key:k2", "nobody")
        names = dict.fromkeys(self.model.counters)
        names |= dict.fromkeys((scope, cal, period(cal, at)[0]) for scope in scopes for cal in Period for at in (self.begun, self.now))
        found = await self.store.budgets([BudgetKey(ORG, scope, cal, start, period(cal, start)[1]) for scope, cal, start in names])
        for name, state in zip(names, found, strict=True):
            counter = self.model.counters.get(name)
            expected = counter and (counter.since, counter.base, counter.own, counter.held)
            assert expected == (state and (state.since_ms, state.base, state.own, state.held)), name

    async def _end(self, before_sweep: Callable[[], None]) -> None:
        while self.live:
            await self._settle({live.who: self.rnd.randint(0, live.tokens + 100) for live in self._some_of_the_live()})
        before_sweep()
        assert await self.store.sweep() == []
        self._arrive(len(self.in_flight))
        await self._reseed()
        keys = [BudgetKey(ORG, scope, calendar, start, period(calendar, start)[1]) for scope, calendar, start in self.model.counters]
        for key, state in zip(keys, await self.store.budgets(keys), strict=True):
            assert state is not None
            assert state.held == 0
            assert state.base is not None
            assert state.base + state.own == self.spent(key), key


def _at(who: Reservation) -> int:
    return uuid7_ms(uuid.UUID(who.reservation_id))
