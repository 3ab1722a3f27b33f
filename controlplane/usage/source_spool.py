"""The spool as event source: reads the directories that extproc processes write (`ias.spool_format`).

Read-only but for one thing: a segment that was consumed to its end and is not the newest is deleted.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from controlplane.usage.ports import Batch, DeadLetter, Position, Positions
from controlplane.usage.rules import check
from ias import logs
from ias.spool_format import Closed, SpoolCorrupt, read_segment, segment_numbers, segment_path
from ias.telemetry import SPOOLS_STOPPED
from ias.usage_event import RequestRecorded, encode

READ_BYTES = 2 << 20
"""Of one spool in one batch; above the largest record, so that every read makes progress."""

log = logs.get(__name__)


class SpoolSource:
    """Some spools, each a stream named by its path. A directory may appear later.

    A corrupt spool stops where it is corrupt, the others go on: nothing behind the damage can be trusted, and skipping
    it would lose events silently. It is read again when the worker starts again.
    """

    def __init__(self, directories: Sequence[Path], bury: Callable[[Sequence[DeadLetter]], Awaitable[None]], read_bytes: int = READ_BYTES) -> None:
        self._directories = {str(directory): directory for directory in directories}
        self.bury = bury
        self._read_bytes = read_bytes
        self._stopped: set[str] = set()
        SPOOLS_STOPPED.set(0)

    async def read(self, after: Positions) -> Batch | None:
        events: list[RequestRecorded] = []
        dead: list[DeadLetter] = []
        positions: dict[str, Position] = {}
        for name in self._directories.keys() - self._stopped:
            position = self._read_spool(name, after.get(name), events, dead)
            if position is not None and position != after.get(name):
                positions[name] = position
        return Batch(tuple(events), positions, tuple(dead)) if positions else None

    def reassigned(self) -> bool:
        return False  # a spool has one reader

    async def committed(self, positions: Positions) -> None:
        for name, position in positions.items():
            for number in segment_numbers(self._directories[name]):
                if number < position.segment:
                    segment_path(self._directories[name], number).unlink(missing_ok=True)

    def _read_spool(self, name: str, after: Position | None, events: list[RequestRecorded], dead: list[DeadLetter]) -> Position | None:
        """Append the next events of one spool, and what the ledger cannot keep; return the position behind them."""
        directory = self._directories[name]
        numbers = segment_numbers(directory)
        position = _resume(directory, numbers, after)
        try:
            while position is not None:
                start = position
                for record, offset in read_segment(segment_path(directory, position.segment), position.offset, self._read_bytes):
                    if isinstance(record, Closed):
                        try:
                            check(record.event)
                            events.append(record.event)
                        except ValueError as error:
                            dead.append(DeadLetter(name, position, str(error), encode(record.event)))
                    position = Position(position.segment, offset)
                # `numbers` was listed before the read, so a segment that is not the newest there has its end.
                if position != start or position.segment == numbers[-1]:
                    break
                position = Position(next(number for number in numbers if number > start.segment), 0)
        except SpoolCorrupt as error:
            self._stop(name, f"{error}; move the segment away and start the worker again to go on with the next one")
        except OSError as error:
            self._stop(name, f"cannot read {error.filename}: {error.strerror}")
        return position

    def _stop(self, name: str, reason: str) -> None:
        self._stopped.add(name)
        SPOOLS_STOPPED.set(len(self._stopped))
        log.error("spool stopped, its events wait", spool=name, reason=reason)


def _resume(directory: Path, numbers: Sequence[int], after: Position | None) -> Position | None:
    """Return where to go on; None without any segment.

    A position beyond what is on disk belongs to a spool that was here before: the one that is here now is read from
    its beginning, which costs at most duplicates.
    """
    if not numbers:
        return None
    if after is None or after.segment > numbers[-1]:
        return Position(numbers[0], 0)
    if after.segment not in numbers:
        return Position(next(number for number in numbers if number > after.segment), 0)
    if after.offset > segment_path(directory, after.segment).stat().st_size:
        return Position(numbers[0], 0)
    return after
