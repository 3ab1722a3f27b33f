"""What the stream machine needs from outside: a durable spool for its records, and the store to hand reservations over."""

from typing import Protocol

from ias.spool_format import Opened
from ias.usage_event import RequestRecorded


class SpoolUnavailable(Exception):
    """The spool cannot take a record now (disk full or failing). Transient; the message may be logged, not shown to clients."""


class SpoolBusy(Exception):
    """The directory belongs to another running process; the message says what to do."""


class Spool(Protocol):
    """The durable record of every request: each one opened here ends as exactly one event, also across a killed process."""

    def open(self, opened: Opened) -> None:
        """Record that a request is followed; it survives the death of this process. Raises SpoolUnavailable: then refuse the request."""

    def close(self, event: RequestRecorded) -> None:
        """Record how a request ended. Never raises: while the disk refuses, the event is kept in memory and tried again."""

    def is_open(self, reservation_id: str) -> bool:
        """Whether a request was opened here and its end is not on disk yet."""

    async def sync(self) -> None:
        """Return when every record before the call survives a power failure; raise SpoolUnavailable when that cannot be had."""


class Claims(Protocol):
    """Tells the admission store which reservations have an `Opened` record, so that its reaper need not look after them."""

    def add(self, org_id: str, reservation_id: str) -> None:
        """Claim soon; never blocks, never raises."""

    def is_pending(self, reservation_id: str) -> bool:
        """Whether the store was not told yet."""
