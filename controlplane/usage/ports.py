"""Ports of the usage consumer: where events come from, where they are kept, and where those go that cannot be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ias.cloudevents import Headers
from ias.spool_reader import Position
from ias.usage_event import RequestRecorded

BREATH = 500
"""Events that a source reads in one go: the writer of the batch before wants its turns, to keep PostgreSQL busy."""

__all__ = [
    "BREATH",
    "Batch",
    "DeadLetter",
    "EventSource",
    "Ledger",
    "LedgerRefused",
    "LedgerUnavailable",
    "Position",
    "Positions",
    "SourceUnavailable",
    "Unavailable",
    "Written",
]


Positions = Mapping[str, Position]
"""Position by name of the stream."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What a stream holds and the ledger can never keep, with the reason in words. It must not stand in the way of the others."""

    stream: str
    position: Position
    """Where it begins."""
    reason: str
    content: bytes
    key: bytes = b""
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events with the place where each came from, what are none, and the positions behind them all. May only move positions."""

    events: tuple[RequestRecorded, ...]
    positions: Positions
    dead: tuple[DeadLetter, ...] = ()

    def __add__(self, later: "Batch") -> "Batch":
        return Batch(self.events + later.events, {**self.positions, **later.positions}, self.dead + later.dead)


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did to the ledger."""

    inserted: int = 0
    replaced: int = 0
    duplicate: int = 0

    def __add__(self, other: "Written") -> "Written":
        return Written(self.inserted + other.inserted, self.replaced + other.replaced, self.duplicate + other.duplicate)


class Unavailable(Exception):
    """A dependency does not work now; the message is its reason. Transient: the same batch comes again."""


class LedgerUnavailable(Unavailable):
    """The ledger took nothing of the batch."""


class SourceUnavailable(Unavailable):
    """The source cannot be read, or a dead letter not be buried."""


class LedgerRefused(Exception):
    """The ledger took nothing, because of one of the events: it will never take that one. The message is the reason."""


class EventSource(Protocol):
    """Delivers at least once: what lies behind the given positions comes again until they move."""

    async def read(self, after: Positions) -> Batch | None:
        """Return the next events behind `after` without waiting for any; None when there is nothing new. Raises SourceUnavailable.

        `after` is what the last `read` came to, unless `rewind` or `reassigned` said that it is another place.
        """

    def rewind(self) -> None:
        """What was read last was not kept: the next `read` begins where its positions say."""

    def reassigned(self) -> bool:
        """Whether another consumer may have moved our positions since the last call: then read them from the ledger again."""

    async def committed(self, positions: Positions) -> None:
        """Forget what lies before the positions: they are durable. Idempotent, may be skipped by a crash."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters where a person finds them, durably. Called before their positions move, so a crash may repeat it."""


class Ledger(Protocol):
    """Keeps each event once and the positions with it, in one transaction."""

    async def positions(self) -> dict[str, Position]:
        """Return the positions of the last write; raise LedgerUnavailable."""

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        """Write all or nothing; raise LedgerUnavailable or LedgerRefused.

        An event is unique by its id. A real event replaces one with outcome `lost`; nothing else changes a row.
        """

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters of sources that have no place of their own, each once; raise LedgerUnavailable."""
