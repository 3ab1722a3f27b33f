"""The spool as event source: reads the directories that extproc processes write (`ias.spool_format`).

Read-only but for one thing: a segment that was consumed to its end and is not the newest is deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from controlplane.usage.ports import BREATH, Batch, DeadLetter, Position, Positions
from controlplane.usage.rules import check
from ias import logs
from ias.spool_format import Closed, SpoolCorrupt
from ias.spool_reader import bytes_behind, forget_before, read_on
from ias.telemetry import SPOOL_LAG_BYTES, SPOOLS_STOPPED
from ias.usage_event import RequestRecorded, encode

READ_BYTES = 6 << 20
"""Of one spool in one batch; above the largest record, so that every read makes progress."""

log = logs.get(__name__)


class SpoolSource:
    """Some spools, each a stream named by its path. A directory may appear later.

    A corrupt spool stops where it is corrupt, the others go on: nothing behind the damage can be trusted, and skipping
    it would lose events silently. It is read again when the worker starts again. `accept` raises ValueError for what the
    ledger cannot keep, and `bury` takes it.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        bury: Callable[[Sequence[DeadLetter]], Awaitable[None]],
        read_bytes: int = READ_BYTES,
        accept: Callable[[RequestRecorded], None] = check,
    ) -> None:
        self._directories = {str(directory): directory for directory in directories}
        self._bury = bury
        self._read_bytes = read_bytes
        self._accept = accept
        self._stopped: set[str] = set()
        SPOOLS_STOPPED.set(0)

    async def read(self, after: Positions) -> Batch | None:
        events: list[RequestRecorded] = []
        dead: list[DeadLetter] = []
        positions: dict[str, Position] = {}
        for name in self._directories.keys() - self._stopped:
            position = await self._read_spool(name, after.get(name), events, dead)
            if position is not None and position != after.get(name):
                positions[name] = position
        return Batch(tuple(events), positions, tuple(dead)) if positions else None

    def rewind(self) -> None:
        """Every read begins where it is told."""

    def reassigned(self) -> bool:
        return False  # a spool has one reader

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        await self._bury(letters)

    async def committed(self, positions: Positions) -> None:
        for name, position in positions.items():
            forget_before(self._directories[name], position)
        SPOOL_LAG_BYTES.set(sum(bytes_behind(self._directories[name], position) for name, position in positions.items()))

    async def _read_spool(self, name: str, after: Position | None, events: list[RequestRecorded], dead: list[DeadLetter]) -> Position | None:
        """Append the next events of one spool, and what the ledger cannot keep; return the position behind them."""
        position = after
        try:
            for record, behind in read_on(self._directories[name], after, self._read_bytes):
                if isinstance(record, Closed):
                    if len(events) % BREATH == 0:
                        await asyncio.sleep(0)
                    try:
                        self._accept(record.event)
                        events.append(record.event)
                    except ValueError as error:
                        dead.append(DeadLetter(name, position or Position(behind.segment, 0), str(error), encode(record.event)))
                position = behind
        except SpoolCorrupt as error:
            self._stop(name, f"{error}; move the segment away and start the worker again to go on with the next one")
        except OSError as error:
            self._stop(name, f"cannot read {error.filename}: {error.strerror}")
        return position

    def _stop(self, name: str, reason: str) -> None:
        self._stopped.add(name)
        SPOOLS_STOPPED.set(len(self._stopped))
        log.error("spool stopped, its events wait", spool=name, reason=reason)
