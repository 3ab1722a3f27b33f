"""The spool on disk: what survives, what is refused, what is recovered."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc import disk, spool_files
from extproc.ports import SpoolBusy, SpoolUnavailable
from extproc.recording import closed
from extproc.spool_files import SegmentRules, SpoolFiles
from ias.spool_format import MAGIC, Closed, Opened, Owed, encode, segment_numbers, segment_path
from tests.support.ext_proc import NOW_MS, some_context
from tests.support.spools import closed_ids, opened_ids, outcomes, records, write_closed, write_opened
from tests.support.usage_events import event

SMALL = SegmentRules(max_bytes=1_000)


class Clock:
    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def opened(number: int) -> Opened:
    return Opened(some_context(number), NOW_MS)


def rid(number: int) -> str:
    return some_context(number).reservation_id


def ended(number: int, **tokens: int) -> Closed:
    return closed(some_context(number), event(number, event_id=rid(number), **tokens))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolFiles]:
    spool = SpoolFiles(tmp_path, Clock())
    yield spool
    spool.release()


def test_records_are_in_the_file_when_the_call_returns(spool: SpoolFiles, tmp_path: Path) -> None:
    write_opened(spool, opened(1))
    write_closed(spool, ended(1))
    assert [type(record).__name__ for record in records(tmp_path)] == ["Opened", "Closed"]


def test_what_was_open_is_closed_as_lost_once_and_for_all(tmp_path: Path) -> None:
    first = SpoolFiles(tmp_path, Clock())
    for number in range(3):
        write_opened(first, opened(number))
    write_closed(first, ended(1))
    first.release()

    for _ in range(3):
        SpoolFiles(tmp_path, Clock()).release()

    assert closed_ids(tmp_path) == {rid(0): 1, rid(1): 1, rid(2): 1}
    assert outcomes(tmp_path) == {rid(0): "lost", rid(1): "complete", rid(2): "lost"}


def test_a_torn_record_is_left_behind_in_its_segment(tmp_path: Path) -> None:
    first = SpoolFiles(tmp_path, Clock())
    write_opened(first, opened(1))
    first.release()
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(encode(opened(2))[:-1])

    second = SpoolFiles(tmp_path, Clock())
    write_opened(second, opened(3))
    second.release()

    assert second.recovered == 1
    assert opened_ids(tmp_path) == {rid(1), rid(3)}
    assert segment_numbers(tmp_path) == [1, 2]


def test_a_corrupt_segment_stops_neither_the_service_nor_the_recovery_before_it(tmp_path: Path) -> None:
    segment_path(tmp_path, 1).write_bytes(MAGIC + encode(opened(1)) + b"\0" * 8)
    segment_path(tmp_path, 2).write_bytes(MAGIC + encode(opened(2)))
    spool = SpoolFiles(tmp_path, Clock())
    spool.release()
    segment_path(tmp_path, 1).unlink()
    assert outcomes(tmp_path) == {rid(1): "lost", rid(2): "lost"}


def test_a_second_process_is_refused_and_told_what_to_do(spool: SpoolFiles, tmp_path: Path) -> None:
    with pytest.raises(SpoolBusy, match=r"another running extproc; give each process its own IAS_SPOOL_DIR"):
        SpoolFiles(tmp_path, Clock())
    write_opened(spool, opened(1))
    assert opened_ids(tmp_path) == {rid(1)}


def test_a_directory_that_cannot_be_made_is_a_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnavailable, match="cannot be written: Not a directory"):
        SpoolFiles(tmp_path / "file" / "spool", Clock())


def test_a_spool_that_cannot_be_read_stops_the_start_and_is_given_up(tmp_path: Path) -> None:
    segment_path(tmp_path, 1).mkdir()
    with pytest.raises(SpoolUnavailable, match="Is a directory"):
        SpoolFiles(tmp_path, Clock())
    segment_path(tmp_path, 1).rmdir()
    SpoolFiles(tmp_path, Clock()).release()


def test_only_the_owner_can_read_a_spool(spool: SpoolFiles, tmp_path: Path) -> None:
    SpoolFiles(tmp_path / "new", Clock()).release()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert segment_path(tmp_path, 1).stat().st_mode & 0o777 == 0o600


def test_a_new_segment_begins_with_everything_that_is_open(tmp_path: Path) -> None:
    spool = SpoolFiles(tmp_path, Clock(), SMALL)
    for number in range(8):
        write_opened(spool, opened(number))
        if number % 4:
            write_closed(spool, ended(number))
    newest = segment_numbers(tmp_path)[-1]
    assert newest > 1

    # The consumer is done with all before the newest.
    for number in range(1, newest):
        segment_path(tmp_path, number).unlink()
    spool.release()
    SpoolFiles(tmp_path, Clock()).release()

    assert {event_id for event_id, outcome in outcomes(tmp_path).items() if outcome == "lost"} == {rid(0), rid(4)}


def test_an_old_segment_ends_so_that_it_can_be_deleted_but_an_empty_one_stays(tmp_path: Path) -> None:
    clock = Clock()
    spool = SpoolFiles(tmp_path, clock, SegmentRules(max_age_ms=1_000))
    clock.now_ms += 1_000
    spool.look_after()
    assert segment_numbers(tmp_path) == [1]
    write_opened(spool, opened(1))
    spool.look_after()
    assert segment_numbers(tmp_path) == [1, 2]
    spool.look_after()
    assert segment_numbers(tmp_path) == [1, 2]
    spool.release()


async def test_on_a_full_disk_nothing_is_opened_and_ends_wait(spool: SpoolFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_opened(spool, opened(1))
    size = segment_path(tmp_path, 1).stat().st_size

    with monkeypatch.context() as full_disk:
        full_disk.setattr(disk, "write", _refuse)
        with pytest.raises(SpoolUnavailable, match="No space left on device"):
            write_opened(spool, opened(2))
        write_closed(spool, ended(1))
        assert spool.is_open(rid(1))
        with pytest.raises(SpoolUnavailable):
            await spool.sync()
    assert segment_path(tmp_path, 1).stat().st_size == size

    await spool.sync()
    assert not spool.is_open(rid(1))
    write_opened(spool, opened(3))
    assert outcomes(tmp_path) == {rid(1): "complete"}
    assert opened_ids(tmp_path) == {rid(1), rid(3)}


def _refuse(fd: int, data: bytes) -> None:
    os.write(fd, data[: len(data) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_half_written_record_that_cannot_be_cut_off_ends_its_segment(spool: SpoolFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_opened(spool, opened(1))
    with monkeypatch.context() as failing:
        failing.setattr(disk, "write", _refuse)
        failing.setattr(os, "ftruncate", _fail)
        with pytest.raises(SpoolUnavailable):
            write_opened(spool, opened(2))
    write_opened(spool, opened(3))
    assert segment_numbers(tmp_path) == [1, 2]
    segment_path(tmp_path, 1).unlink()
    assert opened_ids(tmp_path) == {rid(1), rid(3)}


def _fail(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_when_no_new_segment_can_be_made_the_old_one_grows_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = SpoolFiles(tmp_path, Clock(), SegmentRules(max_bytes=1))
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _fail)
        write_opened(spool, opened(1))
        write_closed(spool, ended(1))
    assert segment_numbers(tmp_path) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000001.spool", "lock"]
    spool.release()


async def test_a_disk_that_fails_to_sync_is_left_for_a_new_segment(spool: SpoolFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_opened(spool, opened(1))
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _fail)
        with pytest.raises(SpoolUnavailable, match="Input/output error"):
            await spool.sync()
    write_opened(spool, opened(2))
    segment_path(tmp_path, 1).unlink()
    assert opened_ids(tmp_path) == {rid(1), rid(2)}


def test_a_segment_that_was_not_finished_by_a_dead_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / "000000000001.new").write_bytes(b"IAS")
    SpoolFiles(tmp_path, Clock()).release()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000001.spool", "lock"]


def test_what_is_owed_outlives_the_process_until_it_is_settled(tmp_path: Path) -> None:
    first = SpoolFiles(tmp_path, Clock())
    for number in range(3):
        write_opened(first, opened(number))
        write_closed(first, ended(number, input_tokens=number, output_tokens=7))
    first.settled([rid(1)])
    assert list(first.owed) == [rid(0), rid(2)]
    first.release()

    second = SpoolFiles(tmp_path, Clock())
    assert [(owed.reservation_id, owed.input_tokens, owed.output_tokens) for owed in second.owed.values()] == [(rid(0), 0, 7), (rid(2), 2, 7)]
    second.settled([rid(0), rid(2)])
    second.release()
    third = SpoolFiles(tmp_path, Clock())
    assert third.owed == {}
    third.release()


def test_what_is_owed_is_repeated_in_each_new_segment_so_that_old_ones_can_go(tmp_path: Path) -> None:
    spool = SpoolFiles(tmp_path, Clock(), SMALL)
    for number in range(8):
        write_opened(spool, opened(number))
        write_closed(spool, ended(number, output_tokens=1))
    spool.settled([rid(number) for number in range(0, 8, 2)])
    newest = segment_numbers(tmp_path)[-1]
    spool.release()
    for number in range(1, newest):
        segment_path(tmp_path, number).unlink()

    spool = SpoolFiles(tmp_path, Clock(), SMALL)
    assert set(spool.owed) == {rid(number) for number in range(1, 8, 2)}
    spool.release()
    assert closed_ids(tmp_path).keys() <= {rid(7)}, "what is owed is carried on without its event, which the ledger has"


def test_the_lost_are_charged_what_was_held_for_them_top_ups_included(tmp_path: Path) -> None:
    first = SpoolFiles(tmp_path, Clock(), SMALL)
    for number, held in ((1, 300), (2, 300), (3, 0)):
        write_opened(first, Opened(some_context(number, held_tokens=held, prompt_tokens=100), NOW_MS))
    first.grow(rid(2), 400)
    first.grow(rid(2), 500)
    for number in range(4, 9):  # the segment is full several times
        write_opened(first, opened(number))
        write_closed(first, ended(number))
    first.settled(list(first.owed))
    first.release()

    second = SpoolFiles(tmp_path, Clock())
    assert {number: _amount(second.owed[rid(number)]) for number in (1, 2, 3)} == {1: (100, 200), 2: (100, 400), 3: (0, 0)}
    events = {record.event.event_id: record.event for record in records(tmp_path) if isinstance(record, Closed)}
    assert (events[rid(2)].input_tokens, events[rid(2)].output_tokens, events[rid(2)].held_tokens) == (100, 400, 500)
    second.release()


def _amount(owed: Owed) -> tuple[int, int]:
    return owed.input_tokens, owed.output_tokens


def test_when_its_consumer_is_behind_new_requests_are_refused_and_live_ones_recorded(tmp_path: Path) -> None:
    spool = SpoolFiles(tmp_path, Clock(), SegmentRules(max_bytes=1_000, total_bytes=5_000))
    number = 1
    with contextlib.suppress(SpoolUnavailable):
        while True:
            write_opened(spool, opened(number))
            number += 1
    with pytest.raises(SpoolUnavailable, match=r"is full: its consumer is behind by [0-9]+ bytes"):
        write_opened(spool, opened(number))
    write_closed(spool, ended(1))
    assert outcomes(tmp_path) == {rid(1): "complete"}

    for segment in segment_numbers(tmp_path)[:-1]:
        segment_path(tmp_path, segment).unlink()
    spool.look_after()
    write_closed(spool, ended(2))
    for other in range(3, number):
        write_closed(spool, ended(other))
    spool.settled(list(spool.owed))
    spool.release()


def test_charges_that_wait_too_long_are_bounded_and_the_oldest_given_up(spool: SpoolFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_files, "_MAX_OWED", 2)
    for number in range(3):
        write_opened(spool, opened(number))
        write_closed(spool, ended(number))
    assert list(spool.owed) == [rid(1), rid(2)]
