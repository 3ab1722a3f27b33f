"""The admission store in process memory: the same port, the same rules, no shared state and no loss of time.

The rules can be read here in Python as the scripts have them in Lua. Every test of the port runs on both; tests of other rooms use this one.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ias.ids import uuid7, uuid7_ms
from ratelimit.bucket import Counter, Level, state
from ratelimit.expiring import Expiring
from ratelimit.holds import Offer
from ratelimit.learning import Lessons
from ratelimit.memory_state import HELD_MS, REPORTED_MS, MemoryState, Record, State, budget_key, budget_keys
from ratelimit.ports import (
    MAX_LEVEL,
    MAX_TOKENS,
    MAX_TTL_MS,
    Admission,
    BudgetKey,
    BudgetState,
    Decision,
    Held,
    Learned,
    Limit,
    Reservation,
    Sample,
    Swept,
    Unit,
    Unseeded,
)


@dataclass(slots=True)
class _Wish:
    """One limit of an admission, and what it would take of it."""

    limit: Limit
    level: Level | Counter
    wanted: int = 0
    held: int = 0
    stored: bool = True

    @property
    def free(self) -> int:
        return self.level.free(self.limit)


class MemoryAdmissionStore:
    """`clock` gives milliseconds of any clock that the reservation ids should carry; `claim_ttl_ms` is how long one lives that nobody extends."""

    def __init__(self, clock: Callable[[], int], claim_ttl_ms: int = 10_000) -> None:
        self._clock = clock
        self._claim_ttl_ms = _ttl(claim_ttl_ms)
        self._state = MemoryState()
        self._away: Expiring[bool] = Expiring()
        self._lessons: dict[tuple[str, str], Lessons] = {}

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        now = self._clock()
        return [self._admit(admission, now) for admission in admissions]

    async def extend(self, reservations: Sequence[Reservation], ttl_ms: int, used: Mapping[str, int] | None = None) -> list[Held]:
        now, deadline = self._clock(), self._clock() + _ttl(ttl_ms)
        return [self._extend(r, deadline, min((used or {}).get(r.reservation_id, 0), MAX_TOKENS), now) for r in reservations]

    async def top_up(self, reservation: Reservation, tokens: int) -> Held:
        now, r = self._clock(), reservation
        record = self._state.record(r.org_id, r.reservation_id, now)
        if record is None or record.state is not State.OPEN:
            return Held.UNKNOWN
        wishes = self._token_wishes(r.org_id, record, now)
        if any(tokens > wish.free for wish in wishes if not wish.limit.dry_run):
            return Held.OVER
        for wish in wishes:
            held = max(0, min(tokens, wish.free)) if wish.limit.dry_run else tokens
            record.items[wish.limit] += held
            self._take(r.org_id, wish, 0, held, record.at_ms, now)
        record.tokens += tokens
        self._state.keep_record(r.org_id, r.reservation_id, record, HELD_MS, now)
        return Held.GRANTED

    async def hold_again(self, reservation: Reservation, tokens: int, ttl_ms: int) -> None:
        now, r = self._clock(), reservation
        deadline = now + _ttl(ttl_ms)
        found = self._state.record(r.org_id, r.reservation_id, now)
        if found is not None:
            if found.state is not State.OPEN:
                self._state.renew(r.org_id, r.reservation_id, found, deadline, now)
            return
        at = uuid7_ms(uuid.UUID(r.reservation_id))
        record = Record(r.user_id, r.key_id, at, tokens, b"", claimed=True, items={})
        for key in budget_keys(r.org_id, r.user_id, r.key_id, at):
            counter = self._state.counter(key, now)
            if counter is None and key.end_ms > now:
                counter = Counter(max(self._state.first_since(key, now), at), key.end_ms)  # of those before it at least the ledger has to tell
            if counter is not None:
                self._state.keep_counter(key, counter.add(0, tokens), now)
                record.items[Limit("held again", key.scope, 0, 1, MAX_LEVEL - 1, Unit.TOKENS, key.calendar)] = tokens
        self._state.due[r.org_id, r.reservation_id] = deadline
        self._state.keep_record(r.org_id, r.reservation_id, record, HELD_MS, now)

    async def settle(self, settlements: Sequence[tuple[Reservation, int]], samples: Mapping[str, Sample] | None = None) -> None:
        now = self._clock()
        for r, tokens in settlements:
            sample = (samples or {}).get(r.reservation_id)
            if self._settle(r, min(tokens, MAX_TOKENS), now) and sample is not None:
                self._lessons.setdefault((r.org_id, sample.publication_id), Lessons()).add(sample)

    async def sweep(self, limit: int = 1_000) -> list[Swept]:
        now = self._clock()
        for org_id, rid in [who for who, deadline in self._state.due.items() if deadline <= now]:
            del self._state.due[org_id, rid]
            record = self._state.record(org_id, rid, now)
            if record is not None:
                self._state.move(org_id, record, State.SWEPT, now)
                self._state.keep_record(org_id, rid, record, HELD_MS, now)
                self._state.swept[org_id, rid] = None
        found = [(org_id, rid, self._state.record(org_id, rid, now)) for org_id, rid in self._state.swept]
        return [Swept(org_id, rid, r.claimed, r.tokens, r.claim) for org_id, rid, r in found if r is not None][:limit]

    async def reported(self, reservations: Sequence[tuple[str, str]]) -> None:
        now = self._clock()
        for org_id, rid in reservations:
            record = self._state.record(org_id, rid, now)
            if (org_id, rid) not in self._state.swept or record is None:
                continue
            del self._state.swept[org_id, rid]
            if not record.claimed:
                self._state.move(org_id, record, State.CLEARED, now)
            self._state.keep_record(org_id, rid, record, REPORTED_MS, now)

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        now = self._clock()
        counter = self._state.counter(budget, now)
        if counter is None or (counter.since_ms, counter.base) != (since_ms, was):
            return False
        self._state.keep_counter(budget, replace(counter, base=base), now)
        return True

    async def budgets(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        now = self._clock()
        found = [(key, self._state.counter(key, now)) for key in keys]
        return [None if c is None else BudgetState(key, c.base, c.own, c.held, c.since_ms) for key, c in found]

    def _admit(self, a: Admission, now: int) -> Decision:
        at, wishes = self._wishes(a, now)
        offer = Offer.of(a.tokens)
        unseeded = self._unseeded(a.org_id, wishes, at, now)
        if unseeded:
            return Decision(None, (), unseeded=unseeded)
        for wish in wishes:
            wish.wanted = {Unit.REQUESTS: a.cost, Unit.STREAMS: 1, Unit.TOKENS: offer.least}[wish.limit.unit]
        fits = [wish.wanted <= wish.free for wish in wishes]
        admitted = all(fit or wish.limit.dry_run for fit, wish in zip(fits, wishes, strict=True))
        tightest = min((w.free for w in wishes if w.limit.unit is Unit.TOKENS and not w.limit.dry_run), default=offer.full_from)
        tokens = offer.held(tightest)
        if admitted:
            for wish in (wish for fit, wish in zip(fits, wishes, strict=True) if fit):
                self._admit_to(a, wish, tokens, at, now)
        states = tuple(state(w.limit, w.level, w.wanted, fit, now) for fit, w in zip(fits, wishes, strict=True))
        learned = self._learned(a)
        if not admitted:
            return Decision(None, states, learned=learned)
        rid = str(uuid7(at, a.reservation_entropy))
        items = {w.limit: w.held for fit, w in zip(fits, wishes, strict=True) if fit and w.limit.unit is not Unit.REQUESTS}
        self._state.keep_record(a.org_id, rid, Record(a.user_id, a.key_id, at, tokens, a.claim, False, items), HELD_MS, now)
        self._state.due[a.org_id, rid] = now + self._claim_ttl_ms
        return Decision(rid, states, tokens, learned=learned)

    def _wishes(self, a: Admission, now: int) -> tuple[int, list[_Wish]]:
        """What the limits stand at, and the time of admission: never before a counter's `since`, so that a clock that goes back loses nothing."""
        at = now
        while True:
            wishes = [self._wish(a.org_id, limit, at, now) for limit in a.limits]
            latest = max((w.level.since_ms for w in wishes if isinstance(w.level, Counter)), default=at)
            if latest <= at:
                return at, wishes
            at = latest

    def _wish(self, org_id: str, limit: Limit, at: int, now: int) -> _Wish:
        if limit.calendar is None:
            return _Wish(limit, self._state.level(org_id, limit, now))
        key = budget_key(org_id, limit.bucket, limit.calendar, at)
        if (counter := self._state.counter(key, now)) is not None:
            return _Wish(limit, counter)
        since = max(at, self._state.first_since(key, now))
        return _Wish(limit, self._state.new_counter(key, since, now), stored=False)

    def _unseeded(self, org_id: str, wishes: Sequence[_Wish], at: int, now: int) -> tuple[Unseeded, ...]:
        found = []
        for wish in wishes:
            if isinstance(wish.level, Counter) and wish.limit.calendar is not None and wish.level.base is None and not wish.limit.dry_run:
                key = budget_key(org_id, wish.limit.bucket, wish.limit.calendar, at)
                found.append(Unseeded(key, wish.level.since_ms))
                self._state.keep_counter(key, wish.level, now)
        return tuple(found)

    def _admit_to(self, a: Admission, wish: _Wish, tokens: int, at: int, now: int) -> None:
        if wish.limit.unit is Unit.REQUESTS:
            self._take(a.org_id, wish, a.cost, 0, at, now)
        else:
            wish.held = 1 if wish.limit.unit is Unit.STREAMS else min(tokens, wish.free) if wish.limit.dry_run else tokens
            self._take(a.org_id, wish, 0, wish.held, at, now)

    def _take(self, org_id: str, wish: _Wish, charge: int, held: int, at: int, now: int) -> None:
        limit = wish.limit
        if isinstance(wish.level, Counter):
            assert limit.calendar is not None
            wish.level = wish.level.add(charge, held)
            self._state.keep_counter(budget_key(org_id, limit.bucket, limit.calendar, at), wish.level, now)
        else:
            wish.level = wish.level.add(charge, held, limit.period_ms)
            self._state.keep_level(org_id, limit, wish.level, now)

    def _token_wishes(self, org_id: str, record: Record, now: int) -> list[_Wish]:
        wishes = [self._wish(org_id, limit, record.at_ms, now) for limit in record.items if limit.unit is Unit.TOKENS]
        return [wish for wish in wishes if wish.stored]

    def _extend(self, r: Reservation, deadline: int, used: int, now: int) -> Held:
        record = self._state.record(r.org_id, r.reservation_id, now)
        if record is None:
            return Held.UNKNOWN
        self._state.renew(r.org_id, r.reservation_id, record, deadline, now)
        self._state.use(r.org_id, record, used, now)
        return Held.GRANTED

    def _settle(self, r: Reservation, tokens: int, now: int) -> bool:
        again = self._away.get(r.reservation_id, now)
        if not r.in_store:
            self._away.put(r.reservation_id, True, now + REPORTED_MS, now)
        record = self._state.record(r.org_id, r.reservation_id, now)
        if record is not None:
            self._state.move(r.org_id, record, State.SETTLED, now, tokens)
            self._state.forget(r.org_id, r.reservation_id)
        elif r.in_store or again:
            return False
        else:
            settled = Record(r.user_id, r.key_id, uuid7_ms(uuid.UUID(r.reservation_id)), 0, b"", claimed=True, items={})
            self._state.charge_budgets(r.org_id, settled, tokens, now)
        return True

    def _learned(self, a: Admission) -> Learned | None:
        lessons = self._lessons.get((a.org_id, a.publication_id)) if a.publication_id else None
        return lessons.learned() if lessons is not None else None


def _ttl(ttl_ms: int) -> int:
    if not 0 < ttl_ms <= MAX_TTL_MS:
        raise ValueError(f"a reservation lives more than 0 and at most {MAX_TTL_MS} ms without a heartbeat")
    return ttl_ms
