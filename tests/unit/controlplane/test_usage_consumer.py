import asyncio
from pathlib import Path

import pytest

from controlplane.usage.consumer import Consumer
from controlplane.usage.ports import LedgerUnavailable
from controlplane.usage.source_spool import SpoolSource
from ias.spool_format import Closed, encode, segment_numbers, segment_path
from ias.telemetry import REGISTRY
from ias.usage_event import decode
from tests.support.usage_events import ADMITTED_MS, MemoryLedger, SpoolWriter, event, opened


def closed(number: int) -> bytes:
    return encode(Closed(event(number)))


def make_consumer(ledger: MemoryLedger, *directories: Path) -> Consumer:
    return Consumer(SpoolSource(directories, ledger.bury), ledger, lambda: ADMITTED_MS)


async def drain(consumer: Consumer) -> None:
    while await consumer.step():
        pass


def numbers_in(ledger: MemoryLedger) -> list[int]:
    return sorted(int(row.request_id.removeprefix("request-")) for row in ledger.rows.values())


async def test_only_requests_that_ended_reach_the_ledger(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(encode(opened(1)) + closed(1) + encode(opened(2)))
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1]


async def test_a_directory_may_appear_later(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    consumer = make_consumer(ledger, tmp_path / "spool")
    assert not await consumer.step()
    SpoolWriter(tmp_path / "spool").append(closed(1))
    await drain(consumer)
    assert numbers_in(ledger) == [1]


async def test_consumed_segments_are_deleted_but_the_newest_stays(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    for number in (1, 2, 3):
        spool.new_segment()
        spool.append(closed(number))
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1, 2, 3]
    assert segment_numbers(tmp_path) == [3]


async def test_a_record_torn_by_a_crash_ends_its_segment(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(closed(1) + closed(2)[:-3])
    consumer = make_consumer(ledger, tmp_path)
    await drain(consumer)
    assert numbers_in(ledger) == [1]
    spool.new_segment()
    spool.append(closed(3))
    await drain(consumer)
    assert numbers_in(ledger) == [1, 3]
    assert segment_numbers(tmp_path) == [2]


async def test_a_ledger_that_is_down_gets_the_same_batch_again(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(closed(1))
    ledger.failures = 2
    consumer = make_consumer(ledger, tmp_path)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await consumer.step()
    await drain(consumer)
    assert numbers_in(ledger) == [1]


async def test_run_waits_for_the_ledger_and_ends_when_told(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(closed(1))
    ledger.failures = 1
    stop = asyncio.Event()
    ledger.on_write = stop.set
    async with asyncio.timeout(5):
        await make_consumer(ledger, tmp_path).run(stop)
    assert numbers_in(ledger) == [1]


async def test_what_comes_while_a_large_batch_is_written_is_let_grow(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    consumer = make_consumer(ledger, tmp_path)
    spool.append(b"".join(closed(number) for number in range(300)))
    batches: list[int] = []
    duplicates = REGISTRY.get_sample_value("ias_ledger_events_total", {"result": "duplicate"}) or 0

    def written() -> None:
        batches.append(len(ledger.rows))
        if len(batches) == 1:
            spool.append(closed(300))  # is read ahead, and too little to be written at once

    ledger.on_write = written
    assert await consumer.step()
    spool.append(closed(301))
    await drain(consumer)
    assert batches == [300, 302]
    assert REGISTRY.get_sample_value("ias_ledger_events_total", {"result": "duplicate"}) == duplicates, "nothing is read twice"
    assert numbers_in(ledger) == list(range(302))


async def test_what_was_read_ahead_is_written_again_after_a_failure(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    consumer = make_consumer(ledger, tmp_path)
    spool.append(b"".join(closed(number) for number in range(300)))

    def written() -> None:
        ledger.on_write = lambda: None
        spool.append(closed(300))

    ledger.on_write = written
    assert await consumer.step()
    ledger.failures = 1
    with pytest.raises(LedgerUnavailable):
        await consumer.step()
    await drain(consumer)
    assert numbers_in(ledger) == list(range(301))


async def test_a_corrupt_spool_stops_at_the_damage_and_the_others_go_on(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    broken, sound = SpoolWriter(tmp_path / "broken"), SpoolWriter(tmp_path / "sound")
    broken.append(closed(1) + closed(2)[:-1] + b"\xff" + closed(3))
    consumer = make_consumer(ledger, broken.directory, sound.directory)
    await drain(consumer)
    sound.append(closed(4))
    await drain(consumer)
    assert numbers_in(ledger) == [1, 4]
    assert segment_numbers(broken.directory) == [1]
    assert REGISTRY.get_sample_value("ias_spools_stopped") == 1


async def test_an_event_that_the_ledger_cannot_keep_is_put_aside_and_the_others_go_on(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(closed(1) + encode(Closed(event(2, org_id="none"))) + closed(3))
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1, 3]
    (letter,) = ledger.buried.values()
    assert decode(letter.content) == event(2, org_id="none")
    assert (letter.stream, letter.reason) == (str(tmp_path), "an id is not a UUID in canonical form")


async def test_what_the_database_refuses_is_found_among_the_others_and_put_aside(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(b"".join(closed(number) for number in range(9)))
    ledger.poison = {event(number).event_id for number in (2, 7)}
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [0, 1, 3, 4, 5, 6, 8]
    assert {decode(letter.content).event_id for letter in ledger.buried.values()} == ledger.poison
    assert {letter.reason for letter in ledger.buried.values()} == {"poison"}
    assert ledger.kept_positions[str(tmp_path)].offset == segment_path(tmp_path, 1).stat().st_size


async def test_after_a_damaged_segment_was_moved_away_the_next_one_is_read(tmp_path: Path) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    spool.append(closed(1) + b"\xff" * 64)
    spool.new_segment()
    spool.append(closed(2))
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1]
    segment_path(tmp_path, 1).rename(tmp_path / "damaged")
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1, 2]


@pytest.mark.parametrize("segments_before", [1, 3], ids=["shorter than before", "with lower numbers than before"])
async def test_a_new_spool_in_the_place_of_an_old_one_is_read_from_its_beginning(tmp_path: Path, segments_before: int) -> None:
    ledger, spool = MemoryLedger(), SpoolWriter(tmp_path)
    for _ in range(segments_before):
        spool.new_segment()
    spool.append(closed(1) + closed(2))
    await drain(make_consumer(ledger, tmp_path))
    for number in segment_numbers(tmp_path):
        segment_path(tmp_path, number).unlink()
    SpoolWriter(tmp_path).append(closed(3))
    await drain(make_consumer(ledger, tmp_path))
    assert numbers_in(ledger) == [1, 2, 3]
