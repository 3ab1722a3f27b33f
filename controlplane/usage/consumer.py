"""The consumer: moves events from a source to the ledger, each exactly once, whatever stops in between.

The positions become durable in the transaction of the rows, and only then is the source told to forget. A crash
before the commit repeats the batch; a crash after it repeats only the forgetting.
"""

import asyncio
from collections.abc import Callable

from controlplane.usage.ports import EventSource, Ledger, LedgerUnavailable, Position
from ias import logs
from ias.telemetry import LEDGER_EVENTS, LEDGER_LAG_SECONDS

POLL_SECONDS = 0.2
_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

log = logs.get(__name__)


class Consumer:
    """One source, one ledger. `now_ms` is wall-clock time, for the lag metric only."""

    def __init__(self, source: EventSource, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._source = source
        self._ledger = ledger
        self._now_ms = now_ms
        self._positions: dict[str, Position] | None = None

    async def step(self) -> bool:
        """Move one batch; False when there was none. Raises LedgerUnavailable, after which the same batch comes again."""
        if self._positions is None:
            self._positions = await self._ledger.positions()
        if (batch := await self._source.read(self._positions)) is None:
            return False
        written = await self._ledger.write(batch.events, batch.positions)
        self._positions.update(batch.positions)
        await self._source.committed(batch.positions)
        LEDGER_EVENTS.labels("inserted").inc(written.inserted)
        LEDGER_EVENTS.labels("replaced").inc(written.replaced)
        LEDGER_EVENTS.labels("duplicate").inc(written.duplicate)
        if batch.events:
            LEDGER_LAG_SECONDS.set((self._now_ms() - max(event.ended_at_ms for event in batch.events)) / 1000)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; the batch in hand is finished first. A ledger that is down is waited for."""
        failures = 0
        while not stop.is_set():
            try:
                pause = 0 if await self.step() else POLL_SECONDS
                failures = 0
            except LedgerUnavailable as error:
                pause = _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)]
                failures += 1
                log.warning("ledger unavailable, no event is lost", reason=str(error), retry_in_seconds=pause)
            if pause:
                await _wait(stop, pause)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
