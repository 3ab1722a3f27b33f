"""A spool may be killed at any byte and its consumer may delete what it has read: each opened request ends exactly once."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.recording import closed as closing
from extproc.spool_files import SegmentRules, SpoolFiles
from ias.spool_format import MAGIC, Closed, Opened, read_segment, segment_numbers, segment_path
from tests.support.ext_proc import NOW_MS, some_context
from tests.support.spools import closed_ids, opened_ids, write_closed, write_opened
from tests.support.usage_events import event


class History:
    """One spool through several lives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started = 0
        self.consumed_opened: set[str] = set()
        self.consumed_closed: Counter[str] = Counter()
        self.settled: set[str] = set()
        self.owed: set[str] = set()

    def live(self, operations: str, segment_bytes: int) -> None:
        """One process: o opens a request, c closes the oldest, n the newest, s settles, d lets the consumer delete what it has read."""
        spool = SpoolFiles(self.directory, lambda: NOW_MS, SegmentRules(max_bytes=segment_bytes))
        alive: list[int] = []
        for operation in operations:
            if operation == "o":
                self.started += 1
                write_opened(spool, Opened(some_context(self.started), NOW_MS))
                alive.append(self.started)
            elif operation == "d":
                self.consume()
            elif alive:
                number = alive.pop(0 if operation == "c" else -1)
                write_closed(spool, closing(some_context(number), event(number, event_id=some_context(number).reservation_id)))
            if operation == "s":
                self.settled.update(spool.owed)
                spool.settled(list(spool.owed))
        self.owed = set(spool.owed)
        spool.release()

    def consume(self) -> None:
        for number in segment_numbers(self.directory)[:-1]:
            segment = segment_path(self.directory, number)
            for record, _ in read_segment(segment):
                if isinstance(record, Closed):
                    self.consumed_closed[record.event.event_id] += 1
                elif isinstance(record, Opened):
                    self.consumed_opened.add(record.context.reservation_id)
            segment.unlink()

    def lose_the_end(self, share: float) -> None:
        """The process died while it wrote: of what was appended to its segment, only a part is there."""
        newest = segment_path(self.directory, segment_numbers(self.directory)[-1])
        with newest.open("r+b") as file:
            file.truncate(len(MAGIC) + int((newest.stat().st_size - len(MAGIC)) * share))


lives = st.lists(st.tuples(st.text(alphabet="oocnsd", max_size=12), st.sampled_from([1, 600, 1 << 20])), min_size=1, max_size=3)


@settings(max_examples=40)  # every segment costs real disk syncs
@given(lives)
def test_every_opened_request_is_closed_exactly_once_whenever_the_process_dies(history: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        spool = History(Path(home))
        for operations, segment_bytes in history:
            spool.live(operations, segment_bytes)
        spool.live("", 1 << 20)

        closed = closed_ids(spool.directory) + spool.consumed_closed
        assert set(closed) == opened_ids(spool.directory) | spool.consumed_opened
        assert len(closed) == spool.started
        assert set(closed.values()) <= {1}
        assert spool.owed == set(closed) - spool.settled, "each one is owed exactly until it was settled"


@settings(max_examples=40)
@given(st.text(alphabet="oocn", max_size=10), st.floats(0, 1))
def test_a_file_cut_at_any_byte_is_recovered(operations: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as home:
        spool = History(Path(home))
        spool.live(operations, 1 << 20)
        spool.lose_the_end(share)
        survived = opened_ids(spool.directory)

        spool.live("", 1 << 20)
        spool.live("", 1 << 20)

        closed = closed_ids(spool.directory)
        assert set(closed) == survived
        assert set(closed.values()) <= {1}
