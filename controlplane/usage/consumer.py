"""The consumer: moves events from a source to the ledger, each exactly once, whatever stops in between.

The positions become durable in the transaction of the rows, and only then is the source told to forget. A crash
before the commit repeats the batch; a crash after it repeats only the forgetting. One batch is in hand at a time: while the
ledger is away nothing is read, and what waits stays where it is durable.
"""

import asyncio
from collections.abc import Callable, Sequence

from controlplane.usage.ports import Batch, DeadLetter, EventSource, Ledger, LedgerRefused, Position, Positions, Unavailable, Written
from ias import logs
from ias.telemetry import DEAD_LETTERS, LEDGER_EVENTS, LEDGER_LAG_SECONDS
from ias.usage_event import RequestRecorded, encode

POLL_SECONDS = 0.2
_FEW = 200
"""After a batch of fewer events the next one is let grow for a moment: a transaction costs as much for one event as for hundreds."""
_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

log = logs.get(__name__)


class Consumer:
    """One source, one ledger. `now_ms` is wall-clock time, for the lag metric only."""

    def __init__(self, source: EventSource, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._source = source
        self._ledger = ledger
        self._now_ms = now_ms
        self._positions: dict[str, Position] | None = None
        self._is_behind = False

    async def step(self) -> bool:
        """Move one batch; False when there was none. Raises Unavailable, after which the same batch comes again."""
        if self._source.reassigned() or self._positions is None:
            self._positions = None
            self._positions = await self._ledger.positions()
        if (batch := await self._source.read(self._positions)) is None:
            return False
        await self._bury(batch.dead)
        written = await self._write(batch)
        self._is_behind = len(batch.events) >= _FEW
        self._positions.update(batch.positions)
        await self._source.committed(batch.positions)
        LEDGER_EVENTS.labels("inserted").inc(written.inserted)
        LEDGER_EVENTS.labels("replaced").inc(written.replaced)
        LEDGER_EVENTS.labels("duplicate").inc(written.duplicate)
        if batch.events:
            LEDGER_LAG_SECONDS.set((self._now_ms() - max(event.ended_at_ms for event in batch.events)) / 1000)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; the batch in hand is finished first. What is down is waited for."""
        failures = 0
        while not stop.is_set():
            try:
                pause = 0 if await self.step() and self._is_behind else POLL_SECONDS
                failures = 0
            except Unavailable as error:
                pause = _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)]
                failures += 1
                log.warning("usage waits, no event is lost", reason=str(error), retry_in_seconds=pause)
            if pause:
                await _wait(stop, pause)

    async def _write(self, batch: Batch) -> Written:
        try:
            return await self._ledger.write(batch.events, batch.positions)
        except LedgerRefused:
            written = await self._write_apart(batch.events, batch.positions)
            return written + await self._ledger.write((), batch.positions)

    async def _write_apart(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        """Write what the ledger takes of a batch that it has refused, half by half, and bury what it does not take."""
        try:
            return await self._ledger.write(events, {})
        except LedgerRefused as refusal:
            if len(events) == 1:
                # Where exactly it stood is not known here; the id tells it from others.
                stream, position = min(positions.items(), key=lambda item: item[0])
                await self._bury([DeadLetter(f"{stream} {events[0].event_id}", position, str(refusal), encode(events[0]))])
                return Written()
        half = len(events) // 2
        return await self._write_apart(events[:half], positions) + await self._write_apart(events[half:], positions)

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        await self._source.bury(letters)
        DEAD_LETTERS.inc(len(letters))
        for letter in letters:
            log.error("dead letter", stream=letter.stream, segment=letter.position.segment, offset=letter.position.offset, reason=letter.reason)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
