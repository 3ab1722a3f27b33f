"""When a spool asks for the disk, and how it becomes usable again when it was full."""

from itertools import count
from pathlib import Path

import pytest

from extproc.ports import SpoolUnavailable
from extproc.recording import closed
from extproc.spool_files import SegmentRules, SpoolFiles
from ias.spool_format import Opened, segment_numbers
from ias.spool_reader import Position, forget_before
from tests.support.ext_proc import NOW_MS, some_context
from tests.support.spools import write_closed, write_opened
from tests.support.usage_events import event


def opened(number: int) -> Opened:
    return Opened(some_context(number), NOW_MS)


def fill(spool: SpoolFiles, numbers: "count[int]") -> None:
    for number in numbers:
        write_opened(spool, opened(number))
        write_closed(spool, closed(some_context(number), event(number, event_id=some_context(number).reservation_id)))


async def test_much_that_is_not_on_disk_asks_for_it_before_its_time(tmp_path: Path) -> None:
    spool, numbers = SpoolFiles(tmp_path, lambda: NOW_MS, SegmentRules(sync_bytes=2_000)), count()
    while not spool.sync_wanted.is_set():
        write_opened(spool, opened(next(numbers)))
    assert 2 <= next(numbers) <= 20
    await spool.sync()
    assert not spool.sync_wanted.is_set()
    spool.release()


def test_a_spool_that_is_full_in_one_segment_begins_another_so_that_its_consumer_can_make_room(tmp_path: Path) -> None:
    spool, numbers = SpoolFiles(tmp_path, lambda: NOW_MS, SegmentRules(total_bytes=4_000)), count()
    with pytest.raises(SpoolUnavailable, match="full"):
        fill(spool, numbers)
    spool.settled(list(spool.owed))
    spool.look_after()
    forget_before(tmp_path, Position(segment_numbers(tmp_path)[-1], 0))
    spool.look_after()
    write_opened(spool, opened(next(numbers)))
    spool.release()
