"""What a dead process left in its spool: requests that were opened and never closed."""

from pathlib import Path

from ias import logs
from ias.spool_format import Opened, SpoolCorrupt, read_segment, segment_numbers, segment_path

log = logs.get(__name__)


def unfinished(directory: Path) -> tuple[dict[str, Opened], int]:
    """Return what is open at the end of a spool, by reservation id, and the number of its newest segment (0: none).

    The consumer may delete segments meanwhile: only from the oldest on, and only what it has consumed, so whatever
    was opened and closed there is settled. What a recovery closes as lost stands in the spool too, behind the `Opened`
    that it answers and deleted not before it: the next recovery finds it and writes nothing again.
    """
    numbers = segment_numbers(directory)
    found: dict[str, Opened] = {}
    for number in numbers:
        try:
            _replay(segment_path(directory, number), found)
        except FileNotFoundError:
            continue
        except SpoolCorrupt as error:
            # Serving goes on: the consumer stops there and an operator decides. What was closed behind the damage gets
            # an event `lost` here, which a real one replaces if it can ever be read.
            log.error("spool segment is corrupt, what follows in it is ignored", error=str(error))
    return found, numbers[-1] if numbers else 0


def _replay(segment: Path, found: dict[str, Opened]) -> None:
    position, behind = 0, -1
    while position != behind:
        behind = position
        for record, position in read_segment(segment, behind):  # noqa: B007 -- the last position is where reading goes on
            if isinstance(record, Opened):
                found[record.context.reservation_id] = record
            else:
                found.pop(record.event.event_id, None)
