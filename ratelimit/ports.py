"""The admission store: where buckets and open reservations live, shared by every replica."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_LEVEL = 1 << 53
"""`capacity * period_ms` stays below: up to here the numbers of a Lua script are exact integers."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: refills `refill` (at least 1) tokens in `period_ms`, holds at most `capacity`; capacity 0 lets nothing pass."""

    name: str
    """What a person calls it, for the 429: `requestsPerMinute of the model`."""
    bucket: str
    """Which bucket inside the org, for example `key:<id>:rpm`. Same bucket, same level."""
    refill: int
    period_ms: int
    capacity: int

    def __post_init__(self) -> None:
        if self.refill < 1 or self.period_ms < 1 or not 0 <= self.capacity < MAX_LEVEL // self.period_ms:
            raise ValueError(f"not a limit: {self.refill} in {self.period_ms} ms, at most {self.capacity}")


@dataclass(frozen=True, slots=True)
class Admission:
    """One request that wants to pass: takes `cost` (at least 1) from every limit, or from none. Its buckets are distinct."""

    org_id: str
    reservation_entropy: int
    """80 random bits; with the store's clock they become the reservation id (UUIDv7)."""
    limits: tuple[Limit, ...]
    claim: bytes
    """Opaque to the store; the reaper gets it back when nobody claims the reservation in time."""
    cost: int = 1


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit after the decision."""

    limit: Limit
    remaining: int
    ms_to_full: int
    retry_ms: int
    """0 if this limit let the request pass, else the earliest time to try again. -1: never (cost above the capacity)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The store's answer. `reservation_id` is set exactly when the request was admitted."""

    reservation_id: str | None
    states: tuple[LimitState, ...]


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A reservation that extproc never took over before its deadline."""

    org_id: str
    reservation_id: str
    claim: bytes


class StoreUnavailable(Exception):
    """The store did not answer in time or refused; nothing can be said about the request. Transient."""


class AdmissionStore(Protocol):
    """Atomic for each admission; a refused or failed one changes nothing."""

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        """Decide a batch in one round trip; raises StoreUnavailable for the whole batch."""

    async def claim(self, reservations: Sequence[tuple[str, str]]) -> None:
        """extproc has (org id, reservation id) in its durable spool: the reaper need not look after them. Idempotent."""

    async def unclaimed(self, limit: int = 1_000) -> list[Unclaimed]:
        """Reservations past their claim deadline, of any org; they stay until they are claimed."""
