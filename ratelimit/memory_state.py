"""What the memory store keeps, and how a reservation changes it: `lua/common.lua` in Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from ratelimit import layout
from ratelimit.bucket import WRONG_MS, Counter, Level
from ratelimit.expiring import Expiring
from ratelimit.periods import period_at
from ratelimit.ports import BudgetKey, Limit, Period, Unit

_DAY_MS = 24 * 3_600_000
HELD_MS = 7 * _DAY_MS
"""What is held, and every reservation, is kept so long after it was last touched: far beyond any deadline."""
REPORTED_MS = _DAY_MS
AFTER_PERIOD_MS = 45 * _DAY_MS
TURN_MS = 300_000
"""So long after the begin of a period its counters begin with nothing spent."""


class State(Enum):
    """Of a reservation."""

    OPEN = "open"
    SWEPT = "swept"
    CLEARED = "cleared"
    """Swept and reported without tokens: extproc never saw it."""
    SETTLED = "settled"

    def charge(self, held: int, total: int) -> int:
        """What is charged in this state, where `held` was held and `total` was used."""
        return {State.SWEPT: held, State.SETTLED: total}.get(self, 0)

    def charge_in_bucket(self, used: int, held: int, total: int) -> int:
        """The same in a bucket, where `used` was charged while the request ran. Giving that back would give back what has drained meanwhile."""
        return max(used, used + self.charge(held, total - used))


@dataclass(slots=True)
class Record:
    """A reservation. `items` says what is held still in which limit; `tokens` is what was held in all, `used` what of it was charged in buckets."""

    user_id: str
    key_id: str
    at_ms: int
    tokens: int
    claim: bytes
    claimed: bool
    items: dict[Limit, int]
    state: State = State.OPEN
    used: int = 0


class MemoryState:
    """Levels, counters and reservations of all orgs, by the names of `ratelimit.layout`."""

    def __init__(self) -> None:
        self.known_ms = 0
        """The latest time known to who uses it. Memory loses nothing, so that only tests, which do empty it, set it."""
        self.levels: Expiring[Level] = Expiring()
        self.counters: Expiring[Counter] = Expiring()
        self.records: Expiring[Record] = Expiring()
        self.due: dict[tuple[str, str], int] = {}
        """Deadlines of open reservations."""
        self.swept: dict[tuple[str, str], None] = {}
        """Swept ones whose event is not written yet."""
        self._charged: dict[str, dict[int, int]] = {}
        """By org and day, the latest time of admission of a request that was charged."""

    def level(self, org_id: str, limit: Limit, now: int) -> Level:
        return (self.levels.get(layout.bucket(org_id, limit), now) or Level(0, now)).drain(limit.refill, now)

    def keep_level(self, org_id: str, limit: Limit, level: Level, now: int) -> None:
        until = level.ms_to_full(limit, now) + now
        if level.w == 0 and level.held == 0:
            self.levels.drop(layout.bucket(org_id, limit))
        else:
            self.levels.put(layout.bucket(org_id, limit), level, max(until, now + HELD_MS) if level.held else until, now)

    def counter(self, key: BudgetKey, now: int) -> Counter | None:
        return self.counters.get(layout.counter(key), now)

    def first_since(self, key: BudgetKey, now: int) -> int:
        """The earliest `since` of a counter that begins now: behind every request that was charged without it, which only the ledger can tell."""
        known = self.known_ms if self.known_ms <= now + WRONG_MS else 0
        charged = (at for at in self._charged.get(key.org_id, {}).values() if at < key.end_ms)
        return 1 + max([now, known, *charged])

    def new_counter(self, key: BudgetKey, since: int, now: int) -> Counter:
        """A missing one; its base is unknown, unless the period has just begun and the one before shows that nothing was lost since."""
        before = self.counter(budget_key(key.org_id, key.scope, key.calendar, key.start_ms - 1), now)
        begins = before is not None and before.since_ms < key.start_ms and now - key.start_ms < TURN_MS
        return Counter(since, key.end_ms, 0 if begins else None)

    def keep_counter(self, key: BudgetKey, counter: Counter, now: int) -> None:
        self.counters.put(layout.counter(key), counter, max(counter.end_ms + AFTER_PERIOD_MS, now + HELD_MS), now)

    def charge_budgets(self, org_id: str, record: Record, tokens: int, now: int) -> None:
        """Charge the counters of a request's org, user and key that carry it, whether it held there or not."""
        if tokens == 0:
            return
        self._note_charge(org_id, record.at_ms, now)
        for key in budget_keys(org_id, record.user_id, record.key_id, record.at_ms):
            counter = self.counter(key, now)
            if counter is not None and counter.since_ms <= record.at_ms:
                self.keep_counter(key, counter.add(tokens, 0), now)

    def _note_charge(self, org_id: str, at: int, now: int) -> None:
        days, day = self._charged.setdefault(org_id, {}), at // _DAY_MS
        if day not in days:
            days = self._charged[org_id] = {d: latest for d, latest in days.items() if latest > now - HELD_MS}
        days[day] = max(at, days.get(day, 0))

    def move(self, org_id: str, record: Record, to: State, now: int, total: int = 0) -> None:
        """Bring a reservation from one state to another: what it holds and what it is charged, everywhere."""
        holds = (to is State.OPEN) - (record.state is State.OPEN)
        for limit, held in record.items.items():
            if limit.calendar is not None:
                key = budget_key(org_id, limit.bucket, limit.calendar, record.at_ms)
                counter = self.counter(key, now)
                if counter is not None:
                    self.keep_counter(key, counter.add(0, holds * held), now)
            else:
                charge = to.charge_in_bucket(record.used, held, total) - record.state.charge_in_bucket(record.used, held, 0)
                level = self.level(org_id, limit, now)
                self.keep_level(org_id, limit, level.add(charge if limit.unit is Unit.TOKENS else 0, holds * held, limit.period_ms), now)
        self.charge_budgets(org_id, record, to.charge(record.tokens, total) - record.state.charge(record.tokens, 0), now)
        record.state = to

    def use(self, org_id: str, record: Record, used: int, now: int) -> None:
        """Charge in buckets what an open reservation has used so far, and hold so much less there."""
        more = used - record.used
        for limit, held in record.items.items():
            if more > 0 and limit.unit is Unit.TOKENS and limit.calendar is None:
                released = min(more, held)
                self.keep_level(org_id, limit, self.level(org_id, limit, now).add(more, -released, limit.period_ms), now)
                record.items[limit] = held - released
                record.used = used

    def renew(self, org_id: str, reservation_id: str, record: Record, deadline: int, now: int) -> None:
        """Hold from here on until a new deadline; a swept one holds again."""
        if record.state is not State.OPEN:
            self.move(org_id, record, State.OPEN, now)
        self.swept.pop((org_id, reservation_id), None)
        record.claimed = True
        self.due[org_id, reservation_id] = deadline
        self.records.put(_name(org_id, reservation_id), record, now + HELD_MS, now)
        for limit in record.items:
            if limit.calendar is None:
                self.levels.touch(layout.bucket(org_id, limit), now + HELD_MS)
            else:
                self.counters.touch(layout.counter(budget_key(org_id, limit.bucket, limit.calendar, record.at_ms)), now + HELD_MS)

    def record(self, org_id: str, reservation_id: str, now: int) -> Record | None:
        return self.records.get(_name(org_id, reservation_id), now)

    def keep_record(self, org_id: str, reservation_id: str, record: Record, ttl_ms: int, now: int) -> None:
        self.records.put(_name(org_id, reservation_id), record, now + ttl_ms, now)

    def forget(self, org_id: str, reservation_id: str) -> None:
        self.records.drop(_name(org_id, reservation_id))
        self.due.pop((org_id, reservation_id), None)
        self.swept.pop((org_id, reservation_id), None)


def budget_key(org_id: str, scope: str, calendar: Period, at_ms: int) -> BudgetKey:
    """The counter of a scope for a moment."""
    return BudgetKey(org_id, scope, calendar, *period_at(calendar, at_ms))


def budget_keys(org_id: str, user_id: str, key_id: str, at_ms: int) -> Iterator[BudgetKey]:
    """All counters that a request may belong to."""
    scopes = ["org", *([f"user:{user_id}"] if user_id else []), *([f"key:{key_id}"] if key_id else [])]
    return (budget_key(org_id, scope, calendar, at_ms) for scope in scopes for calendar in Period)


def _name(org_id: str, reservation_id: str) -> str:
    return f"{org_id}/{reservation_id}"
