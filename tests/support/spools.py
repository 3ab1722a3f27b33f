"""Reading a whole spool, as its consumer and its next owner do."""

from collections import Counter
from pathlib import Path

from ias.spool_format import Closed, Opened, Record, read_segment, segment_numbers, segment_path


def records(directory: Path) -> list[Record]:
    """Every record of every segment, in order."""
    return [record for number in segment_numbers(directory) for record, _ in read_segment(segment_path(directory, number))]


def opened_ids(directory: Path) -> set[str]:
    return {record.context.reservation_id for record in records(directory) if isinstance(record, Opened)}


def closed_ids(directory: Path) -> Counter[str]:
    """How often each reservation was closed."""
    return Counter(record.event.event_id for record in records(directory) if isinstance(record, Closed))


def outcomes(directory: Path) -> dict[str, str]:
    return {record.event.event_id: str(record.event.outcome) for record in records(directory) if isinstance(record, Closed)}
