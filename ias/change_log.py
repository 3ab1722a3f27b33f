"""Following the change log (`ias.gateway_views`): a state in memory that is the truth of at most one poll ago.

A failed poll keeps the last state; how old it may become is the state's matter. Another epoch, or a silence longer
than the log may have been pruned in, means to load all anew.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ias import logs, telemetry

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed; `kind` is a `ChangeKind`, or one of a newer writer."""

    seq: int
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Position:
    """A point in the change log. Another epoch means another history: the database was restored."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What the log says after a position, in order."""

    epoch: str
    changes: tuple[Change, ...]


class ReaderUnavailable(Exception):
    """The truth cannot be read now. Transient; the message holds no secret."""


class ChangeLog(Protocol):
    """Every call reads afresh and raises ReaderUnavailable when it cannot."""

    async def position(self) -> Position:
        """Epoch and last sequence number."""

    async def changes(self, after_seq: int) -> Changes:
        """The next changes, at most some thousand."""


class ChangeFollower(ABC):
    """Loads a state and keeps it up to date. `clock` gives seconds and never goes back."""

    transient: tuple[type[Exception], ...] = (ReaderUnavailable,)
    """What ends a poll and is tried again."""

    def __init__(self, changes: ChangeLog, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._changes = changes
        self._interval_s = interval_s
        self._clock = clock
        self._position: Position | None = None
        self._failing = False

    @abstractmethod
    def is_fresh(self, now_s: float) -> bool:
        """Whether the state was confirmed recently enough to go on from it."""

    @abstractmethod
    async def read_all(self) -> str:
        """Read everything anew; keep the old state when that fails. Returns what was read, for the log."""

    @abstractmethod
    async def take(self, changes: Sequence[Change]) -> None:
        """Read again what changes name."""

    @abstractmethod
    def confirm(self, position: Position, at_s: float) -> None:
        """The state is the truth of this time."""

    async def load(self) -> None:
        """Read everything; raise what is transient and keep the old state when that fails."""
        started = self._clock()
        position = await self._changes.position()  # first: what changes while we read is then applied once more
        read = await self.read_all()
        self._reached(position, started)
        log.info("state loaded", read=read, seq=position.seq)

    async def poll(self) -> None:
        """Apply what changed since the last time; raise as `load` does."""
        if self._position is None or not self.is_fresh(self._clock()):
            await self.load()
            return
        while True:
            started = self._clock()
            found = await self._changes.changes(self._position.seq)
            if found.epoch != self._position.epoch:
                log.warning("the database was restored: loading everything anew")
                await self.load()
                return
            if not found.changes:
                self._reached(self._position, started)
                return
            await self.take(found.changes)
            self._reached(Position(found.epoch, found.changes[-1].seq), started)

    async def load_when_possible(self) -> None:
        """Load, and wait for the truth to be there for as long as it takes."""
        while True:
            if await self._try(self.load):
                return
            await asyncio.sleep(self._interval_s)

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self._try(self.poll)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> bool:
        """One line in the log when it begins to fail and one when it is over, not one for each time."""
        try:
            await step()
        except self.transient as error:
            telemetry.CHANGES_FAILURES.inc()
            if not self._failing:
                log.warning("cannot read the state from PostgreSQL, trying again", reason=str(error))
            self._failing = True
            return False
        if self._failing:
            log.info("PostgreSQL is back")
        self._failing = False
        return True

    def _reached(self, position: Position, confirmed_at: float) -> None:
        self._position = position
        telemetry.CHANGES_SEQ.set(position.seq)
        self.confirm(position, confirmed_at)
