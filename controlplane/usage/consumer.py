"""The consumer: moves events from a source to the ledger, each exactly once, whatever stops in between.

The positions become durable in the transaction of the rows, and only then is the source told to forget. A crash
before the commit repeats the batch; a crash after it repeats only the forgetting. While PostgreSQL works on a batch the next one is
read, no more than that: while the ledger is away nothing is read, and what waits stays where it is durable.
"""

import asyncio
from collections.abc import Callable, Sequence

from controlplane.usage.ports import Batch, DeadLetter, EventSource, Ledger, LedgerRefused, Position, Positions, Unavailable, Written
from ias import logs
from ias.telemetry import DEAD_LETTERS, LEDGER_EVENTS, LEDGER_LAG_SECONDS
from ias.usage_event import RequestRecorded, encode

POLL_SECONDS = 0.2
_FEW = 200
"""A batch of fewer events is let grow for a moment: a transaction costs as much for one event as for hundreds."""
_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

log = logs.get(__name__)


class Consumer:
    """One source, one ledger. `now_ms` is wall-clock time, for the lag metric only."""

    def __init__(self, source: EventSource, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._source = source
        self._ledger = ledger
        self._now_ms = now_ms
        self._positions: dict[str, Position] | None = None
        """Of the ledger; None: to be asked for."""
        self._ahead: Batch | None = None
        """What was read while the batch before it was written."""

    async def step(self) -> bool:
        """Move one batch; False when there was none. Raises Unavailable, after which the same batch comes again."""
        try:
            return await self._move()
        except Unavailable:
            self._start_over()
            raise

    def _start_over(self) -> None:
        """Only the ledger knows what it has kept."""
        self._positions = self._ahead = None
        self._source.rewind()

    async def _move(self) -> bool:
        if self._source.reassigned():
            self._start_over()
        if self._positions is None:
            self._positions = await self._ledger.positions()
        batch = await self._next(self._positions)
        if batch is None:
            return False
        behind = {**self._positions, **batch.positions}
        reading = asyncio.create_task(self._read_ahead(behind, len(batch.events)))
        try:
            await self._bury(batch.dead)
            written = await self._write(batch)
        finally:
            self._ahead = await reading
        self._positions = behind
        await self._source.committed(batch.positions)
        LEDGER_EVENTS.labels("inserted").inc(written.inserted)
        LEDGER_EVENTS.labels("replaced").inc(written.replaced)
        LEDGER_EVENTS.labels("duplicate").inc(written.duplicate)
        if batch.events:
            LEDGER_LAG_SECONDS.set((self._now_ms() - max(event.ended_at_ms for event in batch.events)) / 1000)
        return True

    @property
    def _is_behind(self) -> bool:
        return self._ahead is not None and len(self._ahead.events) >= _FEW

    async def _next(self, after: Positions) -> Batch | None:
        """What was read ahead; if that was little, with what has come since."""
        if self._is_behind or self._ahead is None:
            ahead, self._ahead = self._ahead, None
            return ahead or await self._source.read(after)
        since = await self._source.read({**after, **self._ahead.positions})
        ahead, self._ahead = self._ahead, None
        return ahead if since is None else ahead + since

    async def _read_ahead(self, behind: Positions, events: int) -> Batch | None:
        """Behind a batch of so many events. None also when it cannot be read: the next `read` says why."""
        try:
            return await self._source.read(behind) if events >= _FEW else None
        except Unavailable:
            return None

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
