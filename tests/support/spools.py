"""Reading a whole spool, as its consumer and its next owner do."""

import contextlib
from collections import Counter
from pathlib import Path

from extproc.ports import Spool, SpoolUnavailable
from ias.spool_format import Closed, Opened, Record, read_segment, segment_numbers, segment_path


def write_opened(spool: Spool, opened: Opened) -> None:
    """Open a request and record that at once."""
    spool.open(opened)
    spool.write()


def write_closed(spool: Spool, closed: Closed) -> None:
    """End a request and record that at once, if the disk takes it."""
    spool.close(closed)
    with contextlib.suppress(SpoolUnavailable):
        spool.write()


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
