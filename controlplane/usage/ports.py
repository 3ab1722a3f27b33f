"""Ports of the usage consumer: where events come from, and where they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ias.usage_event import RequestRecorded


@dataclass(frozen=True, slots=True)
class Position:
    """How far one stream of events was consumed: a spool (segment, byte offset), or a Kafka partition (0, offset)."""

    segment: int
    offset: int


Positions = Mapping[str, Position]
"""Position by name of the stream."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, and the positions behind them. A batch without events only moves positions."""

    events: tuple[RequestRecorded, ...]
    positions: Positions


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did to the ledger."""

    inserted: int = 0
    replaced: int = 0
    duplicate: int = 0


class LedgerUnavailable(Exception):
    """The ledger took nothing of the batch; the message is its reason. Transient: write the same batch again."""


class EventSource(Protocol):
    """Delivers at least once: what lies behind the given positions comes again until they move."""

    async def read(self, after: Positions) -> Batch | None:
        """Return the next events behind `after` without waiting for any; None when there is nothing new."""

    async def committed(self, positions: Positions) -> None:
        """Forget what lies before the positions: they are durable. Idempotent, may be skipped by a crash."""


class Ledger(Protocol):
    """Keeps each event once and the positions with it, in one transaction."""

    async def positions(self) -> dict[str, Position]:
        """Return the positions of the last write; raise LedgerUnavailable."""

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        """Write all or nothing; raise LedgerUnavailable.

        An event is unique by its id. A real event replaces one with outcome `lost`; nothing else changes a row.
        """
