"""Events on their way from a spool over a real Kafka broker into the ledger, while one after the other of them fails.

One file, so that one broker serves all of it.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from controlplane import database
from controlplane.security_events.consumer import SecurityConsumer
from controlplane.security_events.feed_kafka import KafkaFeed
from controlplane.usage.consumer import Consumer
from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.ports import LedgerUnavailable, Position, Positions, Unavailable, Written
from controlplane.usage.source_kafka import KafkaSource
from controlplane.usage.topics import ensure_topics
from extauth.security_events import SecurityEvents
from extproc.kafka_sink import POSITION_FILE, KafkaSink
from ias import cloudevents, security_event
from ias.kafka import KafkaSettings, Message, Publisher
from ias.spool_format import Closed, encode, segment_numbers
from ias.usage_event import DEAD_TOPIC, SOURCE, TOPIC, TYPE, Outcome, RequestRecorded, decode
from ias.usage_event import encode as to_json
from tests.component.extproc.running import extproc, fresh_context, say
from tests.support.ext_proc import response_headers
from tests.support.kafka import KafkaBroker
from tests.support.usage_events import ADMITTED_MS, SpoolWriter, event, some_id
from tests.support.valkey import TestValkey

PARTITIONS = 3
pytestmark = pytest.mark.timeout(300)  # the first time, the broker is downloaded


@pytest.fixture
async def settings(kafka: KafkaBroker, topic_prefix: str) -> KafkaSettings:
    """Of a client whose topics exist."""
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, kafka_topic_prefix=topic_prefix)
    await ensure_topics(settings.kafka_client(), [settings.topic(TOPIC), settings.topic(DEAD_TOPIC)], PARTITIONS, 3)
    return settings


@pytest.fixture
async def publisher(settings: KafkaSettings) -> AsyncIterator[Publisher]:
    publisher = Publisher(settings.kafka_client())
    yield publisher
    await publisher.close()


@asynccontextmanager
async def source(settings: KafkaSettings, publisher: Publisher, kind: type[KafkaSource] = KafkaSource) -> AsyncIterator[KafkaSource]:
    made = kind(settings.kafka_client(), settings.topic(TOPIC), settings.topic("g"), publisher, settings.topic(DEAD_TOPIC))
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    yield ledger
    await ledger.close()


def of_org(number: int, org: int = 1, **changes: object) -> RequestRecorded:
    return event(number, org_id=some_id(org), input_tokens=1, **changes)


def message(one: RequestRecorded) -> Message:
    return Message(one.org_id.encode(), to_json(one), cloudevents.headers(TYPE, SOURCE, one.event_id, one.admitted_at_ms))


async def kept(database_url: str) -> tuple[int, int]:
    """Rows of the ledger, and requests that its rollups count."""
    connection = await asyncpg.connect(database_url)
    try:
        rows, rolled_up = await connection.fetchval("SELECT count(*) FROM ledger"), await connection.fetchval("SELECT sum(requests) FROM usage_days")
        return int(rows), int(rolled_up or 0)
    finally:
        await connection.close()


async def consume_until(count: int, database_url: str, *consumers: Consumer) -> None:
    """Let consumers take turns until so many rows are in the ledger."""
    async with asyncio.timeout(90):
        while (await kept(database_url))[0] < count:
            for consumer in consumers:
                try:
                    if not await consumer.step():
                        await asyncio.sleep(0.05)
                except Unavailable:
                    await asyncio.sleep(0.2)


async def read_topic(settings: KafkaSettings, topic: str, count: int) -> list[Any]:
    """Read so many records of a topic from its beginning."""
    consumer = AIOKafkaConsumer(**settings.kafka_client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.topic(topic), number) for number in range(PARTITIONS)])
        async with asyncio.timeout(60):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def test_the_sink_sends_cloudevents_by_org_and_deletes_what_is_acknowledged(
    tmp_path: Path, settings: KafkaSettings, publisher: Publisher
) -> None:
    spool, sent = SpoolWriter(tmp_path), [of_org(number, number % 4) for number in range(20)]
    for number, one in enumerate(sent):
        if number % 5 == 0:
            spool.new_segment()
        spool.append(encode(Closed(one)))
    sink = KafkaSink(tmp_path, publisher, settings.topic(TOPIC))
    while await sink.ship():
        pass
    assert segment_numbers(tmp_path) == [4]
    again = KafkaSink(tmp_path, publisher, settings.topic(TOPIC))
    assert not await again.ship(), "its position is durable"

    records = await read_topic(settings, TOPIC, 20)
    assert {record.value for record in records} == {to_json(one) for one in sent}
    partitions: dict[bytes, set[int]] = {}
    for record in records:
        partitions.setdefault(record.key, set()).add(record.partition)
        headers = dict(record.headers)
        assert (headers["ce_type"], headers["ce_specversion"], headers["content-type"]) == (TYPE.encode(), b"1.0", b"application/json")
        assert json.loads(record.value)["event_id"] == headers["ce_id"].decode()
    assert all(len(numbers) == 1 for numbers in partitions.values()), "an org has one partition"


async def test_nothing_is_lost_or_doubled_while_the_broker_is_killed_and_back(
    tmp_path: Path, kafka: KafkaBroker, settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    spool, finish = SpoolWriter(tmp_path), asyncio.Event()
    shipping = asyncio.create_task(KafkaSink(tmp_path, publisher, settings.topic(TOPIC)).run(finish))
    async with source(settings, publisher) as kafka_source:
        consumer = Consumer(kafka_source, ledger, lambda: ADMITTED_MS)
        spool.append(b"".join(encode(Closed(of_org(number, number % 5))) for number in range(100)))
        await consume_until(100, database_url, consumer)
        kafka.kill()
        for number in range(100, 400):
            spool.append(encode(Closed(of_org(number, number % 5))))
            await asyncio.sleep(0)
        assert not await consumer.step()
        kafka.start()
        await consume_until(400, database_url, consumer)
    finish.set()
    await shipping
    assert await kept(database_url) == (400, 400)


async def test_a_crash_between_acknowledgement_and_position_sends_again_and_counts_once(
    tmp_path: Path, settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    SpoolWriter(tmp_path).append(b"".join(encode(Closed(of_org(number))) for number in range(50)))
    for _ in range(2):
        sink = KafkaSink(tmp_path, publisher, settings.topic(TOPIC))
        while await sink.ship():
            pass
        (tmp_path / POSITION_FILE).unlink()
    await publisher.publish(settings.topic(TOPIC), [message(of_org(50))])
    async with source(settings, publisher) as kafka_source:
        await consume_until(51, database_url, Consumer(kafka_source, ledger, lambda: ADMITTED_MS))
    assert await kept(database_url) == (51, 51)


class Failing(PostgresLedger):
    """A ledger that is away for some writes."""

    failures = 0

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("away")
        return await super().write(events, positions)


async def test_what_was_read_while_the_ledger_was_away_is_read_again(settings: KafkaSettings, publisher: Publisher, database_url: str) -> None:
    ledger = Failing(database_url)
    async with source(settings, publisher) as kafka_source:
        consumer = Consumer(kafka_source, ledger, lambda: ADMITTED_MS)
        for begin in range(0, 60, 20):
            ledger.failures = 2
            await publisher.publish(settings.topic(TOPIC), [message(of_org(number, number)) for number in range(begin, begin + 20)])
            await consume_until(begin + 20, database_url, consumer)
    await ledger.close()
    assert await kept(database_url) == (60, 60)


class Died(Exception):
    pass


class DiesBeforeAcknowledging(KafkaSource):
    async def committed(self, positions: Positions) -> None:
        raise Died


async def test_a_consumer_killed_between_commit_and_acknowledgement_goes_on_where_the_ledger_is(
    settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    await publisher.publish(settings.topic(TOPIC), [message(of_org(number)) for number in range(30)])
    async with source(settings, publisher, DiesBeforeAcknowledging) as dying:
        with pytest.raises(Died):
            await consume_until(30, database_url, Consumer(dying, ledger, lambda: ADMITTED_MS))
    before = await ledger.positions()
    await publisher.publish(settings.topic(TOPIC), [message(of_org(number)) for number in range(30, 40)])
    async with source(settings, publisher) as next_one:
        await consume_until(40, database_url, Consumer(next_one, ledger, lambda: ADMITTED_MS))
    assert await kept(database_url) == (40, 40)
    (stream,) = before
    assert (await ledger.positions())[stream].offset == before[stream].offset + 10


async def test_two_workers_share_the_partitions_and_nothing_is_counted_twice(
    settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    other_ledger = PostgresLedger(database_url)
    try:
        async with source(settings, publisher) as first, source(settings, publisher) as second:
            one, two = Consumer(first, ledger, lambda: ADMITTED_MS), Consumer(second, other_ledger, lambda: ADMITTED_MS)
            await publisher.publish(settings.topic(TOPIC), [message(of_org(number, number)) for number in range(100)])
            await consume_until(100, database_url, one)
            async with asyncio.timeout(60):
                while len(assigned := [len(_partitions(each)) for each in (first, second) if _partitions(each)]) < 2:
                    await asyncio.gather(one.step(), two.step())
                    await asyncio.sleep(0.05)
            assert sum(assigned) == PARTITIONS
            await publisher.publish(settings.topic(TOPIC), [message(of_org(number, number)) for number in range(100, 200)])
            await consume_until(200, database_url, one, two)
            await first.close()
            await publisher.publish(settings.topic(TOPIC), [message(of_org(number, number)) for number in range(200, 300)])
            await consume_until(300, database_url, two)
    finally:
        await other_ledger.close()
    assert await kept(database_url) == (300, 300)


def _partitions(one: KafkaSource) -> set[TopicPartition]:
    return set() if one._consumer is None else one._consumer.assignment()


async def test_what_the_ledger_cannot_keep_goes_to_the_dead_letter_topic_with_the_reason(
    settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    headers = cloudevents.headers(TYPE, SOURCE, "1", ADMITTED_MS)
    poison = {
        "Invalid": Message(b"k", b"no json", headers),
        "no CloudEvent": Message(b"k", to_json(of_org(7)), ()),
        "the type is": Message(b"k", to_json(of_org(8)), cloudevents.headers("other.v1", SOURCE, "1", ADMITTED_MS)),
        "canonical": Message(b"k", to_json(of_org(9, key_id="none")), headers),
        "the type is ,": Message(b"k", to_json(of_org(10)), (("ce_type", None),)),  # type: ignore[arg-type]  # what strangers send
        "nested": Message(b"k", b'{"later":' + b"[" * 10_000, headers),
        "Malformed": Message(b"k", b'{"event_id":', headers),
    }
    sent: Sequence[Message] = [message(of_org(1)), *poison.values(), message(of_org(2))]
    await publisher.publish(settings.topic(TOPIC), [Message(b"k", one.value, one.headers) for one in sent])
    async with source(settings, publisher) as kafka_source:
        await consume_until(2, database_url, Consumer(kafka_source, ledger, lambda: ADMITTED_MS))
    dead = await read_topic(settings, DEAD_TOPIC, len(poison))
    reasons = {dict(record.headers)["ias_reason"].decode(): record for record in dead}
    assert len(reasons) == len(poison)
    for words, one in poison.items():
        (record,) = (record for record in dead if record.value == one.value)
        found = dict(record.headers)
        assert record.key == b"k"
        assert found["ias_from"].decode().startswith(f"kafka:{settings.topic(TOPIC)}/")
        assert words in found["ias_reason"].decode() or words in ("Invalid", "Malformed")


async def test_a_topic_that_is_not_what_it_was_is_read_from_its_beginning(
    settings: KafkaSettings, publisher: Publisher, ledger: PostgresLedger, database_url: str
) -> None:
    await ledger.write([], {f"kafka:{settings.topic(TOPIC)}/{number}": Position(0, 1_000_000) for number in range(PARTITIONS)})
    await publisher.publish(settings.topic(TOPIC), [message(of_org(number, number)) for number in range(10)])
    async with source(settings, publisher) as kafka_source:
        await consume_until(10, database_url, Consumer(kafka_source, ledger, lambda: ADMITTED_MS))
    assert await kept(database_url) == (10, 10)


async def test_extproc_sends_what_it_records(tmp_path: Path, settings: KafkaSettings, valkey: TestValkey) -> None:
    asked = fresh_context()
    to_kafka = {"IAS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "IAS_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix}
    async with extproc(tmp_path, valkey.url, **to_kafka) as running, running.envoy() as envoy:
        await say(await envoy.admitted(asked), response_headers(204, end=True))
        (record,) = await read_topic(settings, TOPIC, 1)
    assert record.key == asked.org_id.encode()
    assert decode(record.value).event_id == asked.reservation_id


async def test_security_events_come_over_kafka_too(tmp_path: Path, settings: KafkaSettings, publisher: Publisher, database_url: str) -> None:
    await ensure_topics(settings.kafka_client(), [settings.topic(security_event.TOPIC)], PARTITIONS, 1)
    events, stop = SecurityEvents(tmp_path, Publisher(settings.kafka_client()), settings.topic(security_event.TOPIC)), asyncio.Event()
    for org in (None, some_id(1), some_id(2)):
        events.count(401, "invalid_api_key", org, None, "192.0.2.7")
    stop.set()
    await events.run(stop)
    assert list(tmp_path.iterdir()) == []
    await publisher.publish(settings.topic(security_event.TOPIC), [Message(b"", b"{}", ())])
    engine = database.create_engine(database_url)
    consumer = SecurityConsumer(KafkaFeed(settings.kafka_client(), settings.topic(security_event.TOPIC), settings.topic("s")), engine)
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT count(*) FROM security_events") < 3:
            if not await consumer.step():
                await asyncio.sleep(0.05)
    await connection.close()
    stop.set()
    await consumer.run(stop)
    await engine.dispose()


async def test_kill_9_of_the_worker_again_and_again_counts_every_event_once(
    settings: KafkaSettings, publisher: Publisher, database_url: str, topic_prefix: str
) -> None:
    """The process as it runs. It is killed whenever it has written something."""
    environment = {
        **os.environ, "IAS_DATABASE_URL": database_url, "IAS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "IAS_KAFKA_TOPIC_PREFIX": topic_prefix,
        "IAS_RECONCILE_INTERVAL_S": "0",
    }  # fmt: skip
    sent = [of_org(number, number % 7, outcome=Outcome.LOST if number % 3 else Outcome.COMPLETE) for number in range(600)]
    sent += [of_org(number, number % 7) for number in range(600)]
    sending = asyncio.create_task(_slowly(publisher, settings.topic(TOPIC), sent))
    for goal in (1, 200, 600):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controlplane", "worker", env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(90):
                while (await kept(database_url))[0] < goal or (goal == 600 and await _lost(database_url)):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    await sending
    assert await kept(database_url) == (600, 600)
    assert await _lost(database_url) == 0


async def _slowly(publisher: Publisher, topic: str, events: Sequence[RequestRecorded]) -> None:
    for start in range(0, len(events), 50):
        await publisher.publish(topic, [message(one) for one in events[start : start + 50]])
        await asyncio.sleep(0.05)


async def _lost(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM ledger WHERE outcome = 'lost'"))
    finally:
        await connection.close()
