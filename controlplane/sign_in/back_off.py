"""How fast somebody may guess passwords. Pure: time is an argument; what is counted is kept by the repository.

Three things are counted for each attempt, and each has some free failures before every further one doubles the wait:

* the account from one address: slows down the guesser and nobody else;
* the account from anywhere: slows down a guesser with many addresses;
* the address for any account: slows down a guesser with many accounts.

The last two must not lock people out whose account, or whose office, a stranger attacks: where somebody has signed in before, only
the first one counts. Somebody who never has waits half a minute at most, and can always come in by a password reset.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Counted(StrEnum):
    """What is counted."""

    ACCOUNT_HERE = "account here"
    ACCOUNT = "account"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Policy:
    """Failures that are free, and the longest wait after them."""

    free: int
    longest: timedelta


POLICIES = {
    Counted.ACCOUNT_HERE: Policy(5, timedelta(minutes=1)),
    Counted.ACCOUNT: Policy(50, timedelta(seconds=30)),
    Counted.ADDRESS: Policy(100, timedelta(minutes=1)),
}
FORGOTTEN_AFTER = timedelta(hours=1)
"""Failures are forgotten when nothing was tried for so long."""
KNOWN_FOR = timedelta(days=30)
"""How long an address counts as one where somebody has signed in."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one thing that is counted."""

    failures: int
    not_before: datetime
    known_until: datetime | None = None

    def keep_until(self, now: datetime) -> datetime:
        """Until when the record means anything."""
        return max(now + FORGOTTEN_AFTER, self.known_until or now)


Records = Mapping[Counted, Record]


def subjects(account: str, block: str) -> dict[Counted, bytes]:
    """Name what is counted, in a fixed size whatever a stranger typed. `block` is `client_address.block_of` the address."""
    parts = {Counted.ACCOUNT_HERE: (account, block), Counted.ACCOUNT: (account,), Counted.ADDRESS: (block,)}
    return {kind: hashlib.sha256("\0".join((kind, *(part.strip().lower() for part in parts[kind]))).encode()).digest() for kind in Counted}


def wait_s(records: Records, now: datetime) -> float:
    """Return the seconds to wait before the next attempt; 0: try now. Free failures never wait, whatever the clocks of replicas say."""
    waiting = [records[kind] for kind in _in_force(records, now) if records[kind].failures >= POLICIES[kind].free]
    return max([0.0, *((record.not_before - now).total_seconds() for record in waiting)])


def attempted(records: Records, now: datetime) -> dict[Counted, Record]:
    """Count an attempt, as failed from its start, so that guesses made at once gain nothing."""
    return {kind: _failed(record, POLICIES[kind], now) if kind in _in_force(records, now) else record for kind, record in records.items()}


def succeeded(records: Records, now: datetime) -> dict[Counted, Record]:
    """Take the attempt of somebody who knew the password back, and no more: whoever has one account gains nothing against the others."""
    counted = _in_force(records, now)
    taken_back = {kind: replace(record, failures=max(0, record.failures - (kind in counted))) for kind, record in records.items()}
    return taken_back | {Counted.ACCOUNT_HERE: Record(0, now, now + KNOWN_FOR)}


def _in_force(records: Records, now: datetime) -> frozenset[Counted]:
    known_until = records[Counted.ACCOUNT_HERE].known_until
    return frozenset({Counted.ACCOUNT_HERE}) if known_until is not None and now < known_until else frozenset(Counted)


def _failed(record: Record, policy: Policy, now: datetime) -> Record:
    forgotten = now - record.not_before > FORGOTTEN_AFTER
    failures = (0 if forgotten else record.failures) + 1
    excess = failures - policy.free
    wait = timedelta() if excess < 0 else min(policy.longest, timedelta(seconds=2 ** min(excess, 10)))
    return replace(record, failures=failures, not_before=now + wait)
