"""What the stream machine needs from outside: a durable spool for its records, and the store that holds and charges tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ias.context import RequestContext
from ias.spool_format import Closed, Opened, Owed
from ratelimit.ports import Held


class SpoolUnavailable(Exception):
    """The spool cannot take a record now (disk full or failing). Transient; the message may be logged, not shown to clients."""


class SpoolBusy(Exception):
    """The directory belongs to another running process; the message says what to do."""


class Spool(Protocol):
    """The durable record of every request: each one opened here ends as exactly one event, also across a killed process.

    What is opened and closed waits for `write`, so that the records of many requests cost one system call.
    """

    @property
    def owed(self) -> Mapping[str, Owed]:
        """What the store has not been charged yet, by reservation id, the oldest first; also of processes before this one."""

    def open(self, opened: Opened) -> None:
        """A request is to be followed from the next `write` on. Raises SpoolUnavailable: then refuse the request."""

    def grow(self, reservation_id: str, held_tokens: int) -> None:
        """Record that more is held for an open request. Never raises: without it, a lost request is charged what was held before."""

    def close(self, closed: Closed) -> None:
        """A request has ended. Never raises: while the disk refuses, the record is kept in memory and tried again."""

    def write(self) -> None:
        """Write what was opened and closed since the last call; it survives the death of this process.

        Raises SpoolUnavailable: what was opened since is not recorded and its requests are to be refused; ends are kept.
        """

    def settled(self, reservation_ids: Sequence[str]) -> None:
        """The store was charged for these. Never raises: what is not recorded is settled again after a restart, without effect."""

    def is_open(self, reservation_id: str) -> bool:
        """Whether a request was opened here and its end is not on disk yet."""

    async def sync(self) -> None:
        """Return when every record before the call survives a power failure; raise SpoolUnavailable when that cannot be had."""


class Holds(Protocol):
    """The holds of the requests that are followed, as the store keeps them. Nothing here blocks or raises."""

    def begin(self, context: RequestContext, used: Callable[[], int]) -> None:
        """A request is followed from now on: its hold is kept alive, and the store told how many tokens it has certainly `used` so far."""

    def end(self, reservation_id: str) -> None:
        """It has ended: what it owes is settled, nothing kept alive."""

    async def top_up(self, context: RequestContext, tokens: int) -> Held | None:
        """Hold so many tokens more; None: the store is away."""
