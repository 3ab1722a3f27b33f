"""What the admission store promises, exact and as plain as possible: the oracle of the random histories. One org, no store, no bytes.

Levels are fractions of tokens; periods come from the calendar of the standard library; nothing expires. It shares no rule with the stores.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from ratelimit.ports import Limit, Period, TokenHold, Unit

NEVER = -1
TURN_MS = 300_000
"""Counters that begin so soon after their period begin with nothing spent, if the one before is there."""


@dataclass
class Bucket:
    level: Fraction = Fraction(0)
    t: int = 0
    held: int = 0

    def at(self, limit: Limit, now: int) -> "Bucket":
        """How it stands at `now`; a clock that goes back a little neither drains nor rewinds, one that goes back far was wrong."""
        if self.t > now + 60_000:
            return Bucket(Fraction(0), now, self.held)
        if now <= self.t:
            return self
        return Bucket(max(Fraction(0), self.level - Fraction((now - self.t) * limit.refill, limit.period_ms)), now, self.held)


@dataclass
class Counter:
    since: int
    base: int | None
    own: int = 0
    held: int = 0


@dataclass
class Open:
    """A reservation. `charged` is None while it holds."""

    at: int
    user: str
    key: str
    claim: bytes
    deadline: int
    tokens: int
    items: dict[Limit, int]
    claimed: bool = False
    charged: int | None = None
    used: int = 0
    """Charged in buckets while it ran."""


@dataclass
class Granted:
    at: int
    tokens: int


def period(calendar: Period, at_ms: int) -> tuple[int, int]:
    return _period_of(calendar, datetime.fromtimestamp(at_ms // 1000, UTC).date().toordinal())


@functools.cache
def _period_of(calendar: Period, ordinal: int) -> tuple[int, int]:
    day = date.fromordinal(ordinal)
    if calendar is Period.DAY:
        start, end = day, day + timedelta(days=1)
    elif calendar is Period.WEEK:
        start = day - timedelta(days=day.isoweekday() - 1)
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    return _ms(start), _ms(end)


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


@dataclass
class Model:
    known_ms: int = 0
    """The latest time that those know of who use the store."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    counters: dict[tuple[str, Period, int], Counter] = field(default_factory=dict)
    reservations: dict[str, Open] = field(default_factory=dict)
    unreported: list[str] = field(default_factory=list)
    settled_away: set[str] = field(default_factory=set)
    charged_at: list[int] = field(default_factory=list)
    """When every request was admitted that was ever charged."""

    # --- what a limit stands at ---

    def bucket(self, limit: Limit, now: int) -> Bucket:
        return self.buckets.get(limit.bucket, Bucket(t=now)).at(limit, now)

    def change(self, limit: Limit, now: int, level: int = 0, held: int = 0) -> None:
        """What is not held and has flown off is forgotten, and with it the time."""
        b = self.bucket(limit, now)
        b = Bucket(max(Fraction(0), b.level + level), b.t, b.held + held)
        self.buckets[limit.bucket] = b
        if not b.level and not b.held:
            del self.buckets[limit.bucket]

    def counter(self, limit: Limit, at: int) -> Counter | None:
        assert limit.calendar is not None
        return self.counters.get((limit.bucket, limit.calendar, period(limit.calendar, at)[0]))

    def beginning(self, calendar: Period, at: int, now: int) -> int:
        """The `since` of a counter that begins now: behind every request that it cannot count any more."""
        end = period(calendar, at)[1]
        known = self.known_ms if self.known_ms <= now + 60_000 else 0
        return 1 + max([now, known, *(charged for charged in self.charged_at if charged < end)])

    def fresh_counter(self, scope: str, calendar: Period, at: int, now: int) -> Counter:
        start, _ = period(calendar, at)
        before = self.counters.get((scope, calendar, period(calendar, start - 1)[0]))
        begins_with_it = before is not None and before.since < start and now < start + TURN_MS
        return Counter(max(at, self.beginning(calendar, at, now)), 0 if begins_with_it else None)

    def left(self, limit: Limit, now: int, at: int) -> Fraction:
        if limit.calendar is None:
            bucket = self.bucket(limit, now)
            return limit.capacity - bucket.level - bucket.held
        counter = self.counter(limit, at) or self.fresh_counter(limit.bucket, limit.calendar, at, now)
        return Fraction(limit.capacity - (counter.base or 0) - counter.own - counter.held)

    # --- admission ---

    def admission_time(self, limits: Sequence[Limit], now: int) -> int:
        at = now
        while True:
            calendars = [(limit.calendar, self.counter(limit, at)) for limit in limits if limit.calendar is not None]
            latest = max((self.beginning(calendar, at, now) if c is None else c.since for calendar, c in calendars), default=at)
            if latest <= at:
                return at
            at = latest

    def unseeded(self, limits: Sequence[Limit], now: int) -> set[tuple[str, Period, int, int]]:
        """Begin the counters that must be; name (scope, calendar, start, since) of those whose base is not known."""
        at, found = self.admission_time(limits, now), set()
        for limit in limits:
            if limit.calendar is None or limit.dry_run:
                continue
            counter = self.counter(limit, at) or self.fresh_counter(limit.bucket, limit.calendar, at, now)
            if counter.base is None:
                start = period(limit.calendar, at)[0]
                self.counters[limit.bucket, limit.calendar, start] = counter
                found.add((limit.bucket, limit.calendar, start, counter.since))
        return found

    def smallest(self, limit: Limit, cost: int, hold: TokenHold) -> int:
        """The least that the request takes from this limit, if it passes."""
        if limit.unit is not Unit.TOKENS:
            return cost if limit.unit is Unit.REQUESTS else 1
        offers = [math.ceil(Fraction(hold.full * 100, hold.share_percent))]
        offers += [n for n in (min(hold.reduced, hold.full), hold.at_least) if n > 0]
        return min(offers)

    def admit(
        self, rid: str | None, limits: Sequence[Limit], cost: int, hold: TokenHold, now: int, ttl: int, who: tuple[str, str, bytes]
    ) -> Granted | None:
        """Grant or refuse; `rid` is what the store called it, None where it refused."""
        at = self.admission_time(limits, now)
        left = {limit: self.left(limit, now, at) for limit in limits}
        passes = {limit: self.smallest(limit, cost, hold) <= left[limit] for limit in limits}
        if not all(passes[limit] for limit in limits if not limit.dry_run):
            return None
        tokens = self.tokens(hold, [math.floor(left[limit]) for limit in limits if limit.unit is Unit.TOKENS and not limit.dry_run])
        items = {}
        for limit in limits:
            if not passes[limit]:
                continue
            if limit.unit is Unit.REQUESTS:
                self.change(limit, now, level=cost)
                continue
            items[limit] = 1 if limit.unit is Unit.STREAMS else min(tokens, math.floor(left[limit])) if limit.dry_run else tokens
            self.hold(limit, items[limit], now, at, create=True)
        if rid is not None:
            self.reservations[rid] = Open(at, *who, now + ttl, tokens, items)
        return Granted(at, tokens)

    def tokens(self, hold: TokenHold, free: Sequence[int]) -> int:
        if not free or hold.full * 100 <= hold.share_percent * min(free):
            return hold.full
        reduced = min(hold.reduced, hold.full)
        if 0 < reduced <= min(free):
            return reduced
        return min(hold.full, *free)

    def states(self, limits: Sequence[Limit], cost: int, hold: TokenHold, now: int) -> tuple[int, dict[Limit, tuple[Fraction, int]]]:
        at = self.admission_time(limits, now)
        return at, {limit: (self.left(limit, now, at), self.smallest(limit, cost, hold)) for limit in limits}

    def wait(self, limit: Limit, left: Fraction, wanted: int, now: int, at: int) -> int:
        """When a limit that did not fit fits at the earliest."""
        if wanted <= left:
            return 0
        if wanted > limit.capacity:
            return NEVER
        if limit.calendar is not None:
            return period(limit.calendar, at)[1] - now
        if limit.unit is Unit.STREAMS:
            return 1_000
        return self.bucket(limit, now).t - now + math.ceil((wanted - left) * limit.period_ms / limit.refill)

    def to_full(self, limit: Limit, now: int, at: int) -> int:
        if limit.calendar is not None:
            return period(limit.calendar, at)[1] - now
        if limit.unit is Unit.STREAMS:
            return 0
        bucket = self.bucket(limit, now)
        return bucket.t - now + math.ceil(bucket.level * limit.period_ms / limit.refill) if bucket.level else 0

    # --- the life of a reservation ---

    def hold(self, limit: Limit, n: int, now: int, at: int, *, create: bool = False) -> None:
        if limit.calendar is None:
            self.change(limit, now, held=n)
            return
        counter = self.counter(limit, at)
        if counter is None and create:
            counter = self.counters[limit.bucket, limit.calendar, period(limit.calendar, at)[0]] = self.fresh_counter(
                limit.bucket, limit.calendar, at, now
            )
        if counter is not None:
            counter.held += n

    def top_up(self, rid: str, n: int, now: int) -> str:
        r = self.reservations.get(rid)
        if r is None or r.charged is not None:
            return "unknown"
        limits = [limit for limit in r.items if limit.unit is Unit.TOKENS]
        left = {limit: self.left(limit, now, r.at) for limit in limits}
        if any(n > left[limit] for limit in limits if not limit.dry_run):
            return "over"
        for limit in limits:
            more = max(0, min(n, math.floor(left[limit]))) if limit.dry_run else n
            self.hold(limit, more, now, r.at)
            r.items[limit] += more
        r.tokens += n
        return "granted"

    def extend(self, rid: str, now: int, ttl: int, used: int = 0) -> str:
        r = self.reservations.get(rid)
        if r is None:
            return "unknown"
        if r.charged is not None:
            charged = r.charged
            self.turn(r, now, 1, lambda n: -n if charged else 0, -charged)
            r.charged = None
        r.claimed, r.deadline = True, now + ttl
        if rid in self.unreported:
            self.unreported.remove(rid)
        self.use(r, used, now)
        return "granted"

    def use(self, r: Open, used: int, now: int) -> None:
        buckets = [limit for limit in r.items if limit.unit is Unit.TOKENS and limit.calendar is None]
        if used <= r.used or not buckets:
            return
        for limit in buckets:
            released = min(used - r.used, r.items[limit])
            self.change(limit, now, used - r.used, -released)
            r.items[limit] -= released
        r.used = used

    def hold_again(self, rid: str, at: int, who: tuple[str, str], tokens: int, now: int, ttl: int) -> None:
        r = self.reservations.get(rid)
        if r is not None:
            if r.charged is not None:
                self.extend(rid, now, ttl)
            return
        r = self.reservations[rid] = Open(at, *who, b"", now + ttl, tokens, {}, claimed=True)
        for scope, calendar in self.scopes(*who):
            limit = Limit("again", scope, 0, 1, (1 << 53) - 1, Unit.TOKENS, calendar)
            start, end = period(calendar, at)
            if (scope, calendar, start) not in self.counters:
                if end <= now:
                    continue
                self.counters[scope, calendar, start] = Counter(max(at, self.beginning(calendar, at, now)), None)
            self.hold(limit, tokens, now, at)
            r.items[limit] = tokens

    def scopes(self, user: str, key: str) -> list[tuple[str, Period]]:
        return [(scope, calendar) for scope in ("org", f"user:{user}", f"key:{key}") if not scope.endswith(":") for calendar in Period]

    def turn(self, r: Open, now: int, holds: int, charge: Callable[[int], int], own: int) -> None:
        """Change in one step what is held (1, 0, -1 times) and charged, by what was held there, and the counters that carry the request."""
        for limit, held in r.items.items():
            if limit.calendar is None:
                self.change(limit, now, charge(held) if limit.unit is Unit.TOKENS else 0, holds * held)
            else:
                self.hold(limit, holds * held, now, r.at)
        if own:
            self.charged_at.append(r.at)
        for scope, calendar in self.scopes(r.user, r.key):
            counter = self.counters.get((scope, calendar, period(calendar, r.at)[0]))
            if counter is not None and counter.since <= r.at:
                counter.own += own

    def settle(self, rid: str, at: int, who: tuple[str, str], total: int, now: int, *, in_store: bool) -> None:
        r = self.reservations.pop(rid, None)
        again = rid in self.settled_away
        if not in_store:
            self.settled_away.add(rid)
        if r is None:
            if not in_store and not again:
                self.turn(Open(at, *who, b"", 0, 0, {}), now, 0, lambda _: 0, total)
            return
        if rid in self.unreported:
            self.unreported.remove(rid)
        charged = r.charged
        rest = max(0, total - r.used)  # what was used stays charged
        if charged is None:
            self.turn(r, now, -1, lambda _: rest, total)
        else:
            self.turn(r, now, 0, lambda n: rest - (n if charged else 0), total - charged)

    def sweep(self, now: int) -> list[tuple[str, bool, int, bytes]]:
        for rid, r in self.reservations.items():
            if r.charged is None and r.deadline <= now:
                self.turn(r, now, -1, lambda n: n, r.tokens)
                r.charged = r.tokens
                self.unreported.append(rid)
        return [(rid, self.reservations[rid].claimed, self.reservations[rid].tokens, self.reservations[rid].claim) for rid in self.unreported]

    def reported(self, rid: str, now: int) -> None:
        if rid not in self.unreported:
            return
        self.unreported.remove(rid)
        r = self.reservations[rid]
        if not r.claimed:
            assert r.charged is not None
            self.turn(r, now, 0, lambda n: -n, -r.charged)
            r.charged = 0
