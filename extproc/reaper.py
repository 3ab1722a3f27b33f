"""Ends admitted requests that never reached an extproc: the process died before its record, or Envoy did.

Any replica may find them, and two may find the same: the event's id is the reservation's, so it counts once. If the
request turns out to be alive in another replica, its real event replaces the `lost` one.
"""

import asyncio
from collections.abc import Callable

from extproc.ports import Claims, Spool, SpoolUnavailable
from extproc.recording import lost
from extproc.ticks import ticks
from ias import context, logs
from ias.telemetry import EVENTS, REAPED
from ias.usage_event import Outcome
from ratelimit.ports import AdmissionStore, StoreUnavailable, Unclaimed

log = logs.get(__name__)


class Reaper:
    """Looks every `interval_s` seconds."""

    def __init__(self, store: AdmissionStore, spool: Spool, claims: Claims, clock_ms: Callable[[], int], interval_s: float = 2.0) -> None:
        self._store, self._spool, self._claims = store, spool, claims
        self._clock_ms = clock_ms
        self._interval_s = interval_s

    async def run(self, finish: asyncio.Event) -> None:
        """Reap until `finish` is set; what fails is tried again at the next look."""
        async for _ in ticks(self._interval_s, finish):
            try:
                while await self.reap() and not finish.is_set():
                    pass
            except (StoreUnavailable, SpoolUnavailable) as error:
                log.warning("unclaimed reservations cannot be closed, trying again", error=str(error))

    async def reap(self) -> int:
        """Close one batch as lost and return how many there were. They leave the store only when their events are on disk."""
        found = await self._store.unclaimed()
        gone = [unclaimed for unclaimed in found if not self._is_ours(unclaimed)]
        if not gone:
            return 0
        await self._spool.sync()  # not a word to a disk that refuses: events would pile up in memory
        for unclaimed in gone:
            self._close(unclaimed)
        await self._spool.sync()
        await self._store.claim([(unclaimed.org_id, unclaimed.reservation_id) for unclaimed in gone])
        REAPED.inc(len(gone))
        return len(gone)

    def _is_ours(self, unclaimed: Unclaimed) -> bool:
        if self._spool.is_open(unclaimed.reservation_id):
            self._claims.add(unclaimed.org_id, unclaimed.reservation_id)
        return self._claims.is_pending(unclaimed.reservation_id)

    def _close(self, unclaimed: Unclaimed) -> None:
        try:
            admitted = context.decode(unclaimed.claim, unclaimed.reservation_id)
        except context.ContextError as error:
            # Not ours to repair, and it must not stand in the way of the others for ever.
            log.error("a reservation without a readable context is dropped", reservation_id=unclaimed.reservation_id, error=str(error))
            return
        self._spool.close(lost(admitted, self._clock_ms()))
        EVENTS.labels(Outcome.LOST).inc()
