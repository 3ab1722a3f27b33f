"""Security events from Kafka, in a consumer group of their own; offsets are Kafka's, committed when the events are stored."""

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError

from controlplane.security_events.ports import FeedUnavailable, Taken
from ias import cloudevents, logs
from ias.security_event import TYPE, RequestsRefused, decode
from ias.telemetry import DEAD_LETTERS

GROUP = "ias-security"
_BATCH = 1_000

log = logs.get(__name__)


class KafkaFeed:
    """One member of the group."""

    def __init__(self, client: dict[str, Any], topic: str, group: str) -> None:
        self._client = client
        self._topic = topic
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None

    async def take(self) -> Taken | None:
        try:
            fetched = await (await self._started()).getmany(timeout_ms=0, max_records=_BATCH)
        except (KafkaError, OSError, TimeoutError) as error:
            raise FeedUnavailable(f"Kafka: {type(error).__name__}: {error}") from error
        events = [event for records in fetched.values() for record in records if (event := _read(record)) is not None]
        return Taken(events, {partition: records[-1].offset + 1 for partition, records in fetched.items()}) if fetched else None

    async def stored(self, taken: Taken) -> None:
        assert self._consumer is not None
        try:
            await self._consumer.commit(taken.receipt)
        except (KafkaError, IllegalStateError) as error:
            log.debug("the events come again, and count once", reason=str(error))

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(self._topic, **self._client, group_id=self._group, enable_auto_commit=False, auto_offset_reset="earliest")
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


def _read(record: Any) -> RequestsRefused | None:
    try:
        cloudevents.expect_type(record.headers, TYPE)
        return decode(record.value or b"")
    except ValueError as error:
        DEAD_LETTERS.inc()
        log.error("a security event is unreadable and left out", partition=record.partition, offset=record.offset, reason=str(error))
        return None
