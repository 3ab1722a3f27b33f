"""The admission store: where buckets, budgets and reservations live, shared by every replica.

A request is *admitted*: its request limits are charged, its token limits and budgets are **held**, its streams are counted, all
or nothing, in one call. While it runs the hold may be *topped up* and is *extended* by heartbeats, which also tell what it has used: in
buckets that is charged at once, and no longer held. At its end it is *settled* to the true amount. A hold whose deadline passes is
*swept*: it becomes a charge, and a late settlement still corrects it.

Budgets. A counter is `base + own` tokens of one scope (org, user, key) in one calendar period. `own` is what was settled of the
requests admitted at or after the counter's `since` (the store's clock); `base` is the ledger's sum of those admitted before. Which of
the two a request belongs to is told by its id alone, which holds its time of admission, so nothing is counted twice or lost when the
store is emptied: a missing counter starts anew and asks for its `base` (`Decision.unseeded`, `seed`). Its `since` lies behind the id of
every request that was ever charged and behind all that the caller knows of the store's clock, which may have been set back; no request
is admitted with an id before the `since` of its counters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

MAX_LEVEL = 1 << 53
"""`capacity * period_ms` stays below: up to here the numbers of a Lua script are exact integers."""


MAX_TOKENS = 1 << 40
"""One request holds and is charged less."""

MAX_TTL_MS = 24 * 3_600_000
"""The longest time that a reservation lives without a heartbeat."""


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    """Charged at admission."""
    TOKENS = "tokens"
    """Held at admission, charged at settlement."""
    STREAMS = "streams"
    """Held while the request runs, never charged: concurrent requests."""


class Period(StrEnum):
    """A calendar period in UTC. Weeks begin on Monday (ISO 8601)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Limit(msgspec.Struct, frozen=True):
    """One rule of one bucket.

    With `refill` a token bucket: refills `refill` in `period_ms`, holds at most `capacity`; capacity 0 lets nothing pass. With
    `calendar` (unit TOKENS, `refill` 0) a budget: `capacity` tokens in each period, nothing flows off. With unit STREAMS (`refill`
    0) at most `capacity` at once.
    """

    name: str
    """What a person calls it, for the 429: `requestsPerMinute of the model`."""
    bucket: str
    """Which bucket inside the org, as `key:<id>:rpm`; of a budget its scope alone: `org`, `user:<id>` or `key:<id>`. Same bucket, same level."""
    refill: int
    period_ms: int
    capacity: int
    unit: Unit = Unit.REQUESTS
    calendar: Period | None = None
    dry_run: bool = False
    """Never refuses and is charged only as far as it fits; its state says what it would have done."""

    def __post_init__(self) -> None:
        if self.calendar is not None or self.unit is Unit.STREAMS:
            valid = self.refill == 0 and self.period_ms == 1 and (self.calendar is None or self.unit is Unit.TOKENS)
        else:
            valid = self.refill >= 1 and self.period_ms >= 1
        if not valid or not 0 <= self.capacity < MAX_LEVEL // max(1, self.period_ms):
            raise ValueError(f"not a limit: {self}")


class TokenHold(msgspec.Struct, frozen=True):
    """How many tokens to hold, in order of preference.

    With `free` = what is left in the tightest token limit of the request:

    1. `full`, if it is at most `share_percent` of `free`;
    2. else `reduced` (0: not offered; at most `full`), if it fits;
    3. else all that is free but at most `full`, if that is at least `at_least` (0: not offered);
    4. else the request is refused.
    """

    full: int
    share_percent: int = 100
    reduced: int = 0
    at_least: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.full < MAX_TOKENS and 1 <= self.share_percent <= 100 and self.reduced >= 0 and self.at_least >= 0):
            raise ValueError(f"not a hold: {self}")


class Admission(msgspec.Struct, frozen=True):
    """One request that wants to pass: takes from every limit, or from none. Its buckets are distinct."""

    org_id: str
    reservation_entropy: int
    """80 random bits; with the store's clock they become the reservation id (UUIDv7)."""
    limits: tuple[Limit, ...]
    claim: bytes
    """Opaque to the store; the reaper gets it back when the reservation is swept."""
    cost: int = 1
    """Requests to charge, at least 1."""
    tokens: TokenHold = TokenHold(0)
    user_id: str = ""
    key_id: str = ""
    publication_id: str = ""
    """Whose learned values the decision brings; empty: none."""


class Learned(msgspec.Struct, frozen=True):
    """What requests of one org to one publication were like lately: about the last thousand count."""

    tokens_per_kilobyte: int
    """Prompt tokens for 1,000 bytes of prompt: of 99 % of the requests at most this."""
    output_tokens: int
    """Of 75 % of the requests at most this."""
    samples: int
    """How many requests this is drawn from, 0 to about 1,000: few say little."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one settled request teaches. `prompt_bytes` is what extauth estimated from; 0: nothing is learned of the prompt."""

    publication_id: str
    prompt_bytes: int
    prompt_tokens: int
    output_tokens: int


class LimitState(msgspec.Struct, frozen=True):
    """A limit after the decision."""

    limit: Limit
    free: int
    """What is left; negative: so much more is spent and held than the limit has, after it was lowered or a request used more than it held."""
    ms_to_full: int
    """Of a budget: until its period ends. Of concurrent requests: 0."""
    retry_ms: int
    """0 if this limit let the request pass, else the earliest time to try again. -1: never (more than the capacity)."""
    held: int = 0
    """Tokens, or streams, that all running requests hold in it now: what is not left is either held or spent."""

    @property
    def remaining(self) -> int:
        """What a client is told to be left: never less than 0."""
        return max(0, self.free)


@dataclass(frozen=True, slots=True)
class BudgetKey:
    """A budget counter: scope (`org`, `user:<id>`, `key:<id>`) and period. `start_ms` and `end_ms` bound the period, UTC."""

    org_id: str
    scope: str
    calendar: Period
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Unseeded:
    """A counter whose base is not known: it must become the ledger's sum of requests admitted from `start_ms` until before `since_ms`."""

    budget: BudgetKey
    since_ms: int


class Decision(msgspec.Struct, frozen=True):
    """The store's answer. `reservation_id` is set exactly when the request was admitted."""

    reservation_id: str | None
    states: tuple[LimitState, ...]
    held_tokens: int = 0
    unseeded: tuple[Unseeded, ...] = ()
    """Not empty: nothing was decided and nothing changed; seed these and ask again."""
    learned: Learned | None = None
    """For the requests after this one: what the store knows of (org, publication); None before the first sample."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Names an admitted request to the store. `in_store` is false when it was admitted while the store was away."""

    org_id: str
    user_id: str
    key_id: str
    reservation_id: str
    in_store: bool = True


class Held(StrEnum):
    """What `extend` and `top_up` found."""

    GRANTED = "granted"
    OVER = "over"
    """The limits do not allow more; the hold is as before."""
    UNKNOWN = "unknown"
    """The store has lost the reservation, or never had it: `hold_again`."""


@dataclass(frozen=True, slots=True)
class Swept:
    """A reservation past its deadline that nobody settled; `tokens` were held and are charged now.

    Its event says `tokens` if it was claimed, else 0; `reported` makes the charge the same.
    """

    org_id: str
    reservation_id: str
    claimed: bool
    """extproc saw the request."""
    tokens: int
    claim: bytes


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A counter as it stands. Spent = `base + own`; `base` is None until it was seeded."""

    budget: BudgetKey
    base: int | None
    own: int
    held: int
    since_ms: int


class StoreUnavailable(Exception):
    """The store did not answer in time or refused; nothing can be said about the request. Transient."""


class AdmissionStore(Protocol):
    """Atomic for each admission, reservation or counter; what is refused or fails changes nothing. Every call raises StoreUnavailable."""

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        """Decide a batch in one round trip; raises StoreUnavailable for the whole batch."""

    async def extend(self, reservations: Sequence[Reservation], ttl_ms: int, used: Mapping[str, int] | None = None) -> list[Held]:
        """Move the deadline to `ttl_ms` from now, and mark as claimed by extproc. Brings a swept reservation back. Never OVER.

        `used` says, by reservation id, how many tokens a request has certainly used so far. In buckets they are charged now, flow off from
        now on and are never given back; so many less are held there. Budgets hold what they held until the request is settled.
        """

    async def top_up(self, reservation: Reservation, tokens: int) -> Held:
        """Hold `tokens` more in every token limit of the reservation."""

    async def hold_again(self, reservation: Reservation, tokens: int, ttl_ms: int) -> None:
        """Hold for a running request that the store has lost, whether it fits or not, in the budget counters of its org, user and key. Idempotent.

        Never after its `settle` was sent: a hold without an end would be swept into a charge.
        """

    async def settle(self, settlements: Sequence[tuple[Reservation, int]], samples: Mapping[str, Sample] | None = None) -> None:
        """Release the holds and charge the true total of tokens. Idempotent; late ones correct the charge of the sweep.

        `samples` says, by reservation id, what to learn of the request; a repeated settlement teaches nothing.
        """

    async def sweep(self, limit: int = 1_000) -> list[Swept]:
        """Turn overdue holds of any org into charges; return swept reservations that are not yet `reported`, also of earlier sweeps."""

    async def reported(self, reservations: Sequence[tuple[str, str]]) -> None:
        """Swept ones, by (org id, reservation id), have their event in a durable spool: do not return them again.

        Late settlements still correct them, for a day. A never claimed one is charged 0 from here on, as its event says.
        """

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        """Set the base of a counter; also the repeating job calls it, as late events arrive. False: nothing was set, read the counter again.

        Its `since_ms` must still be this one, and its base the one that it had before the ledger was asked (None: not known): so a sum
        never replaces a newer one.
        """

    async def budgets(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        """Read counters; None for those that do not exist."""
