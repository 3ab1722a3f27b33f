"""Kafka as event source: one member of a consumer group. Where each partition goes on is told by the ledger, not by Kafka.

Offsets are committed to Kafka too, for those who watch the lag with Kafka's tools; nothing here reads them. After a rebalance
the positions are read from the ledger again, because the member before may have moved them. Two members that for a moment have the
same partition write the same events, of which the ledger keeps one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from controlplane.usage.ports import BREATH, Batch, DeadLetter, Position, Positions, SourceUnavailable
from controlplane.usage.rules import check
from ias import cloudevents, logs
from ias.kafka import KafkaUnavailable, Message, Publisher
from ias.telemetry import KAFKA_EVENTS_MISSED, KAFKA_LAG
from ias.usage_event import TYPE, RequestRecorded, decode

GROUP = "ias-ledger"
_BATCH = 10_000
_SESSION_TIMEOUT_MS = 10_000
_POLL_INTERVAL_MS = 3_600_000
"""As long as the ledger may be away before another member gets the partitions, which could write no better."""

log = logs.get(__name__)


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads one topic; a stream is a partition, named `kafka:<topic>/<number>`."""

    def __init__(
        self,
        client: dict[str, Any],
        topic: str,
        group: str,
        publisher: Publisher,
        dead_topic: str,
        accept: Callable[[RequestRecorded], None] = check,
    ) -> None:
        self._client = client
        self._topic = topic
        self._group = group
        self._publisher = publisher
        self._dead_topic = dead_topic
        self._accept = accept
        self._consumer: AIOKafkaConsumer | None = None
        self._unplaced: set[TopicPartition] = set()
        """Partitions that are ours and were not told yet where to go on."""
        self._fresh = False

    async def close(self) -> None:
        """Leave the group, so that the others get our partitions at once."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._unplaced -= set(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._unplaced = set(assigned)
        self._fresh = True
        log.info("partitions assigned", topic=self._topic, partitions=sorted(one.partition for one in self._unplaced))

    def rewind(self) -> None:
        if self._consumer is not None:
            self._unplaced = set(self._consumer.assignment())

    def reassigned(self) -> bool:
        fresh, self._fresh = self._fresh, False
        return fresh

    async def read(self, after: Positions) -> Batch | None:
        try:
            consumer = await self._started()
            for partition in sorted(self._unplaced):
                await _place(consumer, partition, after.get(_stream(partition)))
                self._unplaced.discard(partition)
            fetched = await consumer.getmany(timeout_ms=0, max_records=_BATCH)
        except (KafkaError, OSError, TimeoutError) as error:
            raise SourceUnavailable(f"Kafka: {type(error).__name__}: {error}") from error
        events: list[RequestRecorded] = []
        dead: list[DeadLetter] = []
        positions: dict[str, Position] = {}
        for partition, records in fetched.items():
            if partition in self._unplaced:
                continue  # it came this moment, and from somewhere: it is read again from its place
            for number, record in enumerate(records):
                if number % BREATH == 0:
                    await asyncio.sleep(0)
                self._take(record, _stream(partition), events, dead)
            positions[_stream(partition)] = Position(0, records[-1].offset + 1)
        return Batch(tuple(events), positions, tuple(dead)) if positions else None

    async def committed(self, positions: Positions) -> None:
        assert self._consumer is not None
        ours = {one: positions[_stream(one)].offset for one in self._consumer.assignment() if _stream(one) in positions}
        KAFKA_LAG.set(sum(max(0, (self._consumer.highwater(one) or 0) - offset) for one, offset in ours.items()))
        try:
            await self._consumer.commit(ours)
        except (KafkaError, IllegalStateError) as error:
            log.debug("Kafka was not told our offsets", reason=str(error))

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        try:
            await self._publisher.publish(self._dead_topic, [_dead_message(letter) for letter in letters])
        except KafkaUnavailable as error:
            raise SourceUnavailable(f"a dead letter cannot be buried: {error}") from error

    def _take(self, record: ConsumerRecord, stream: str, events: list[RequestRecorded], dead: list[DeadLetter]) -> None:
        try:
            cloudevents.expect_type(record.headers, TYPE)
            event = decode(record.value or b"")
            self._accept(event)
            events.append(event)
        except ValueError as error:
            place = Position(0, record.offset)
            dead.append(DeadLetter(stream, place, str(error), record.value or b"", record.key or b"", tuple(record.headers)))

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._client,
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=_SESSION_TIMEOUT_MS,
                max_poll_interval_ms=_POLL_INTERVAL_MS,
            )
            consumer.subscribe([self._topic], listener=self)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


async def _place(consumer: AIOKafkaConsumer, partition: TopicPartition, after: Position | None) -> None:
    """Go on where the ledger has stopped, as far as Kafka still has it."""
    oldest = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    start = after.offset if after is not None else oldest
    if start < oldest:
        KAFKA_EVENTS_MISSED.inc(oldest - start)
        log.error("Kafka deleted events before they were read: its retention is too short", partition=_stream(partition), events=oldest - start)
    elif start > end:
        log.warning("the partition is another one than before, it is read from its beginning", partition=_stream(partition))
    consumer.seek(partition, start if oldest <= start <= end else oldest)


def _stream(partition: TopicPartition) -> str:
    return f"kafka:{partition.topic}/{partition.partition}"


def _dead_message(letter: DeadLetter) -> Message:
    where = f"{letter.stream}@{letter.position.offset}"
    return Message(letter.key, letter.content, (*letter.headers, ("ias_reason", letter.reason.encode()), ("ias_from", where.encode())))
