"""The way of events from the spool to Kafka.

Events leave the disk only when Kafka has acknowledged them: the position behind them is kept in the spool's directory, and segments
before it are deleted. A crash between the acknowledgement and the position sends some events again; the ledger keeps one of
each. While Kafka is away the spool grows, up to its bound.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from extproc.ticks import ticks
from ias import cloudevents, logs
from ias.kafka import KafkaUnavailable, Message, Publisher
from ias.spool_format import Closed, SpoolCorrupt
from ias.spool_reader import Position, bytes_behind, forget_before, read_on
from ias.telemetry import SPOOL_LAG_BYTES, SPOOL_LAG_SECONDS, SPOOL_SHIPPED
from ias.usage_event import SOURCE, TYPE, RequestRecorded, encode

POSITION_FILE = "shipped.json"
_BATCH = 200
"""Events in one turn: the streams of the process wait while they are encoded, a few milliseconds."""
_READ_BYTES = 1 << 20
_INTERVAL_S = 0.1
_LAST_S = 5.0
"""For what is left when the process ends."""
_PATIENCE_S = 2.0
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)

log = logs.get(__name__)
_decoder = msgspec.json.Decoder(tuple[int, int])


class KafkaSink:
    """Ships one spool. Its directory belongs to this process."""

    def __init__(self, directory: Path, publisher: Publisher, topic: str) -> None:
        self._directory = directory
        self._publisher = publisher
        self._topic = topic
        self._position = _load(directory / POSITION_FILE)

    async def run(self, finish: asyncio.Event) -> None:
        """Ship until `finish` is set, and then what is left, for a bounded time. What fails is tried again."""
        shipping = asyncio.create_task(self._ship_until(finish))
        try:
            await finish.wait()
            async with asyncio.timeout(_LAST_S):
                await shipping
        except TimeoutError:
            log.warning("events stay in the spool until the next start")
        finally:
            shipping.cancel()
            await self._publisher.close()

    async def ship(self) -> bool:
        """Send one batch and wait for its acknowledgement; False when there was nothing. Raises KafkaUnavailable, SpoolCorrupt or OSError."""
        events, position = self._read()
        if position == self._position or position is None:
            SPOOL_LAG_SECONDS.set(0)
            SPOOL_LAG_BYTES.set(0)
            return False
        if events:
            await self._acknowledged(events)
            SPOOL_SHIPPED.inc(len(events))
        self._store(position)
        forget_before(self._directory, position)
        return True

    async def _ship_until(self, finish: asyncio.Event) -> None:
        failures = 0
        async for _ in ticks(_INTERVAL_S, finish):
            try:
                while await self.ship():
                    failures = 0
            except KafkaUnavailable as error:
                pause = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
                failures += 1
                log.warning("Kafka does not take events, the spool keeps them", reason=str(error), retry_in_seconds=pause)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await finish.wait()
            except (SpoolCorrupt, OSError) as error:
                log.error("the spool cannot be shipped, its events wait", error=str(error))
                await finish.wait()
                return
        if not failures:
            with contextlib.suppress(KafkaUnavailable, SpoolCorrupt, OSError):
                while await self.ship():
                    pass

    async def _acknowledged(self, events: Sequence[RequestRecorded]) -> None:
        """Publish, and say so when it takes long: the brokers may be away for hours."""
        publishing = asyncio.create_task(self._publisher.publish(self._topic, [_message(event) for event in events]))
        waited_s = 0.0
        try:
            while not publishing.done():
                SPOOL_LAG_SECONDS.set(max(0.0, time.time() - events[0].ended_at_ms / 1000))
                SPOOL_LAG_BYTES.set(bytes_behind(self._directory, self._position))
                await asyncio.wait({publishing}, timeout=_PATIENCE_S)
                if not publishing.done() and waited_s == 0:
                    log.warning("Kafka does not take events, the spool keeps them", reason="no acknowledgement yet")
                waited_s += _PATIENCE_S
            await publishing
        finally:
            publishing.cancel()

    def _read(self) -> tuple[list[RequestRecorded], Position | None]:
        events: list[RequestRecorded] = []
        position = self._position
        try:
            for record, position in read_on(self._directory, self._position, _READ_BYTES):  # noqa: B007 -- the last one is where the next batch begins
                if isinstance(record, Closed):
                    events.append(record.event)
                    if len(events) == _BATCH:
                        break
        except SpoolCorrupt:
            if position == self._position:
                raise  # what stands before the damage was sent
        return events, position

    def _store(self, position: Position) -> None:
        """Replace the file in one step. Lost at a power failure, it costs duplicates."""
        path = self._directory / POSITION_FILE
        unseen = path.with_suffix(".tmp")
        unseen.write_text(json.dumps([position.segment, position.offset]))
        unseen.replace(path)
        self._position = position


def _load(path: Path) -> Position | None:
    try:
        return Position(*_decoder.decode(path.read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError:
        log.warning("the position of the spool is unreadable, everything that is there is sent again", file=str(path))
        return None


def _message(event: RequestRecorded) -> Message:
    return Message(event.org_id.encode(), encode(event), cloudevents.headers(TYPE, SOURCE, event.event_id, event.admitted_at_ms))
