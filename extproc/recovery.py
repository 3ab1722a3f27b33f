"""What a dead process left in its spool: requests that were opened and never closed, and charges that were never settled."""

from dataclasses import dataclass, field
from pathlib import Path

from ias import logs
from ias.spool_format import Closed, Grown, Opened, Owed, Record, Settled, SpoolCorrupt, read_segment, segment_numbers, segment_path

log = logs.get(__name__)


@dataclass(slots=True)
class Left:
    """The state at the end of a spool, each by reservation id in order of its record."""

    opened: dict[str, Opened] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    """Tokens held for the open ones that were topped up."""
    owed: dict[str, Owed] = field(default_factory=dict)
    newest: int = 0
    """Number of the newest segment; 0: there is none."""

    def take(self, record: Record) -> None:
        """Play one record."""
        match record:
            case Opened(context=context):
                self.opened[context.reservation_id] = record
            case Grown():
                self.held[record.reservation_id] = record.held_tokens
            case Closed():
                self.opened.pop(record.event.event_id, None)
                self.held.pop(record.event.event_id, None)
                if record.owed is not None:
                    self.owed[record.owed.reservation_id] = record.owed
            case Owed():
                self.owed[record.reservation_id] = record
            case Settled():
                for reservation_id in record.reservation_ids:
                    self.owed.pop(reservation_id, None)

    def held_for(self, opened: Opened) -> int:
        """Tokens held for an open request."""
        return self.held.get(opened.context.reservation_id, opened.context.held_tokens)


def read_left(directory: Path) -> Left:
    """Play all segments of a spool.

    The consumer may delete segments meanwhile: only from the oldest on, and only what it has consumed, so whatever
    was opened and closed there is in the ledger, and what was still owed is repeated behind it. What a recovery closes as lost
    stands in the spool too, behind the `Opened` that it answers and deleted not before it: the next recovery finds it and writes
    nothing again.
    """
    left = Left()
    for number in segment_numbers(directory):
        left.newest = number
        try:
            _play(segment_path(directory, number), left)
        except FileNotFoundError:
            continue
        except SpoolCorrupt as error:
            # Serving goes on: the consumer stops there and an operator decides. What was closed behind the damage gets
            # an event `lost` here, which a real one replaces if it can ever be read.
            log.error("spool segment is corrupt, what follows in it is ignored", error=str(error))
    return left


def _play(segment: Path, left: Left) -> None:
    position, behind = 0, -1
    while position != behind:
        behind = position
        for record, position in read_segment(segment, behind):  # noqa: B007 -- the last position is where reading goes on
            left.take(record)
