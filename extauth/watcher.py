"""Follows the change log, so that memory is the truth of at most one poll ago.

A failed poll keeps the last state; how old it may become is the snapshot's matter. Another epoch, or a silence longer
than the log may have been pruned in, means to load all anew.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from extauth.live_credentials import LiveCredentials, TooManyCredentials
from extauth.ports import GatewayReader, Position, ReaderUnavailable
from extauth.snapshot import Changed, Snapshot
from ias import logs, telemetry

log = logs.get(__name__)


class ChangeWatcher:
    """Loads the snapshot and keeps it up to date. `clock` gives seconds and never goes back."""

    def __init__(
        self, reader: GatewayReader, snapshot: Snapshot, max_credentials: int, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._snapshot = snapshot
        self._max_credentials = max_credentials
        self._interval_s = interval_s
        self._clock = clock
        self._position: Position | None = None
        self._failing = False

    async def load(self) -> None:
        """Read everything; raise ReaderUnavailable or TooManyCredentials and keep the old state when that fails."""
        started = self._clock()
        position = await self._reader.position()  # first: what changes while we read is then applied once more
        live = LiveCredentials(self._max_credentials)
        await self._reader.each_credential_id(live.load)
        publications = await self._reader.publications()
        self._snapshot.replace(live, publications)
        self._reached(position, started)
        log.info("state loaded", credentials=len(live), publications=len(publications), seq=position.seq)

    async def poll(self) -> None:
        """Apply what changed since the last time; raise as `load` does."""
        if self._position is None or not self._snapshot.is_fresh(self._clock()):
            await self.load()
            return
        while True:
            started = self._clock()
            changes = await self._reader.changes(self._position.seq)
            if changes.epoch != self._position.epoch:
                log.warning("the database was restored: loading everything anew")
                await self.load()
                return
            if not changes.changes:
                self._reached(self._position, started)
                return
            changed = Changed.of(changes.changes)
            credentials = await self._reader.credentials(changed.credentials) if changed.credentials else []
            changed = self._snapshot.with_visited(changed)
            publications = await self._reader.publications(changed.publications) if changed.publications else []
            self._snapshot.apply(changed, credentials, publications)
            self._reached(Position(changes.epoch, changes.changes[-1].seq), started)

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
        except (ReaderUnavailable, TooManyCredentials) as error:
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
        self._snapshot.confirm(confirmed_at)
        telemetry.CHANGES_SEQ.set(position.seq)
        telemetry.LIVE_CREDENTIALS.set(len(self._snapshot.live))
