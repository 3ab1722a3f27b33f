"""Ends admitted requests that nobody else ends: they never reached an extproc, or theirs died and did not come back in time.

Any replica may find them, and two may find the same: the event's id is the reservation's, so it counts once. If the
request turns out to be alive in another replica, its real event replaces the `lost` one and its settlement corrects the charge.
"""

import asyncio
from collections.abc import Callable

from extproc.heartbeats import Heartbeats
from extproc.ports import Spool, SpoolUnavailable
from extproc.recording import lost
from extproc.ticks import ticks
from ias import context, logs
from ias.spool_format import Closed
from ias.telemetry import EVENTS, REAPED
from ias.usage_event import Outcome
from ratelimit.ports import AdmissionStore, StoreUnavailable, Swept

log = logs.get(__name__)


class Reaper:
    """Looks every `interval_s` seconds."""

    def __init__(self, store: AdmissionStore, spool: Spool, heartbeats: Heartbeats, clock_ms: Callable[[], int], interval_s: float = 2.0) -> None:
        self._store, self._spool, self._heartbeats = store, spool, heartbeats
        self._clock_ms = clock_ms
        self._interval_s = interval_s

    async def run(self, finish: asyncio.Event) -> None:
        """Reap until `finish` is set; what fails is tried again at the next look."""
        async for _ in ticks(self._interval_s, finish):
            try:
                while await self.reap() and not finish.is_set():
                    pass
            except (StoreUnavailable, SpoolUnavailable) as error:
                log.warning("abandoned reservations cannot be closed, trying again", error=str(error))

    async def reap(self) -> int:
        """Close one batch as lost and return how many there were. They leave the store only when their events are on disk."""
        found = {swept.reservation_id for swept in await self._store.sweep() if not self._is_ours(swept.reservation_id)}
        if not found:
            return 0
        # Asked again: what was settled here while the first answer was on its way is not there any more.
        gone = [swept for swept in await self._store.sweep() if swept.reservation_id in found]
        await self._spool.sync()  # not a word to a disk that refuses: events would pile up in memory
        for swept in gone:
            self._close(swept)
        await self._spool.sync()
        await self._store.reported([(swept.org_id, swept.reservation_id) for swept in gone])
        REAPED.inc(len(gone))
        return len(gone)

    def _is_ours(self, reservation_id: str) -> bool:
        """Alive here, so its next heartbeat brings it back; or ended here and about to be settled."""
        return self._heartbeats.hurry(reservation_id) or self._spool.is_open(reservation_id) or reservation_id in self._spool.owed

    def _close(self, swept: Swept) -> None:
        try:
            admitted = context.decode(swept.claim, swept.reservation_id)
        except context.ContextError as error:
            # Not ours to repair, and it must not stand in the way of the others for ever.
            log.error("a reservation without a readable context is dropped", reservation_id=swept.reservation_id, error=str(error))
            return
        # The store has charged it when it swept it: nothing is owed.
        self._spool.close(Closed(lost(admitted, self._clock_ms(), swept.tokens if swept.claimed else 0)))
        EVENTS.labels(Outcome.LOST).inc()
