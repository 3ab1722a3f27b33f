"""Reading a spool from a position on: what its consumer and the sink to Kafka have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ias.spool_format import Record, SpoolCorrupt, read_segment, segment_numbers, segment_path


@dataclass(frozen=True, slots=True)
class Position:
    """How far one stream of events was consumed: a spool (segment, byte offset), or a Kafka partition (0, offset)."""

    segment: int
    offset: int


def resume(directory: Path, numbers: Sequence[int], after: Position | None) -> Position | None:
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


def read_on(directory: Path, after: Position | None, max_bytes: int) -> Iterator[tuple[Record | None, Position]]:
    """Yield each record behind `after`, at most about `max_bytes` of them, with the position behind it.

    A step to the next segment yields no record. Raises SpoolCorrupt, or OSError, behind what could be read.
    """
    numbers = segment_numbers(directory)
    position = resume(directory, numbers, after)
    while position is not None:
        start = position
        for record, offset in read_segment(segment_path(directory, position.segment), position.offset, max_bytes):
            position = Position(position.segment, offset)
            yield record, position
        # `numbers` was listed before the read, so a segment that is not the newest there has its end.
        if position != start or position.segment == numbers[-1]:
            return
        position = Position(next(number for number in numbers if number > start.segment), 0)
        yield None, position


def forget_before(directory: Path, position: Position) -> None:
    """Delete the segments before that of `position`: they were consumed to their ends."""
    for number in segment_numbers(directory):
        if number < position.segment:
            segment_path(directory, number).unlink(missing_ok=True)


def bytes_behind(directory: Path, position: Position | None) -> int:
    """Bytes of a spool behind a position; of what is deleted meanwhile, none."""
    total = 0
    for number in segment_numbers(directory):
        if position is None or number >= position.segment:
            try:
                size = segment_path(directory, number).stat().st_size
            except FileNotFoundError:
                continue
            total += size - (position.offset if position is not None and number == position.segment else 0)
    return max(0, total)


__all__ = ["Position", "SpoolCorrupt", "bytes_behind", "forget_before", "read_on", "resume"]
