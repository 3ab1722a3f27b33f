"""The sink alone: what it keeps of its position, and how it behaves while Kafka takes nothing. Kafka itself: tests/component/kafka."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from extproc.kafka_sink import POSITION_FILE, KafkaSink
from ias.kafka import KafkaUnavailable, Message, Publisher
from ias.spool_format import Closed, encode, segment_numbers
from ias.usage_event import RequestRecorded, decode
from tests.support.usage_events import SpoolWriter, event, opened
from tests.support.waiting import until


class Taker(Publisher):
    """Takes messages, or fails as often as it is told, or never answers."""

    def __init__(self) -> None:
        super().__init__({})
        self.taken: list[RequestRecorded] = []
        self.failures = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        self.asked += 1
        await self.answers.wait()
        if self.failures:
            self.failures -= 1
            raise KafkaUnavailable("away")
        assert topic == "t"
        self.taken += [decode(message.value) for message in messages]


@pytest.fixture
async def taker() -> Taker:
    return Taker()


def written(directory: Path, *numbers: int) -> SpoolWriter:
    spool = SpoolWriter(directory)
    for number in numbers:
        spool.new_segment()
        spool.append(encode(opened(number)) + encode(Closed(event(number))))
    return spool


async def test_only_what_is_acknowledged_is_forgotten(tmp_path: Path, taker: Taker) -> None:
    written(tmp_path, 1, 2)
    taker.failures = 1
    sink = KafkaSink(tmp_path, taker, "t")
    with pytest.raises(KafkaUnavailable):
        await sink.ship()
    assert segment_numbers(tmp_path) == [1, 2]
    while await sink.ship():
        pass
    assert taker.taken == [event(1), event(2)]
    assert segment_numbers(tmp_path) == [2]


async def test_a_position_that_is_unreadable_costs_duplicates_and_nothing_else(tmp_path: Path, taker: Taker) -> None:
    written(tmp_path, 1)
    for _ in range(2):
        sink = KafkaSink(tmp_path, taker, "t")
        while await sink.ship():
            pass
        (tmp_path / POSITION_FILE).write_text("{")
    assert taker.taken == [event(1), event(1)]


async def test_it_goes_on_after_failures_and_ends_with_nothing_left(tmp_path: Path, taker: Taker) -> None:
    spool, finish = written(tmp_path, 1, 2, 3), asyncio.Event()
    taker.failures = 1
    running = asyncio.create_task(KafkaSink(tmp_path, taker, "t").run(finish))
    await until(lambda: len(taker.taken) == 3)
    spool.append(encode(Closed(event(4))))
    finish.set()
    await running
    assert taker.taken == [event(number) for number in (1, 2, 3, 4)]


async def test_the_process_can_end_while_kafka_never_answers(tmp_path: Path, taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.kafka_sink._LAST_S", 0.05)
    written(tmp_path, 1)
    taker.answers.clear()
    finish = asyncio.Event()
    running = asyncio.create_task(KafkaSink(tmp_path, taker, "t").run(finish))
    await until(lambda: taker.asked)
    finish.set()
    await running
    assert taker.taken == []
    assert segment_numbers(tmp_path) == [1]
    assert not (tmp_path / POSITION_FILE).exists()


async def test_a_corrupt_spool_stops_the_sink_behind_what_could_be_read(tmp_path: Path, taker: Taker) -> None:
    written(tmp_path, 1).append(b"\xff" * 100)
    finish = asyncio.Event()
    running = asyncio.create_task(KafkaSink(tmp_path, taker, "t").run(finish))
    await until(lambda: taker.taken == [event(1)])
    finish.set()
    await running
    assert segment_numbers(tmp_path) == [1]
