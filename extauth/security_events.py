"""Security events: what was refused, counted by the minute and handed over to the control plane.

Each minute becomes one small file in a directory of this process, seen only when it is complete. The worker reads and deletes it, or,
with Kafka, it is deleted when Kafka has acknowledged its events. What is in memory, a minute at most, dies with the process.
"""

import asyncio
import time
from pathlib import Path

from extauth.client_address import network_of
from extauth.refusal_counts import MINUTE_MS, Kind, RefusalCounts
from ias import cloudevents, logs
from ias.ids import uuid7
from ias.kafka import KafkaUnavailable, Message, Publisher
from ias.security_event import SOURCE, SUFFIX, TYPE, RefusedRequest, RequestsRefused, decode, encode
from ias.telemetry import SECURITY_EVENTS_DROPPED, SECURITY_REFUSALS

_INTERVAL_S = 5.0
_LAST_S = 5.0
_MOST_FILES = 1_440
"""A day of minutes; while nobody takes them, later ones are dropped and counted. They are no money."""

log = logs.get(__name__)


class SecurityEvents:
    """Counts, and writes what was counted. Without a directory it counts for the metrics only."""

    def __init__(self, directory: Path | None, publisher: Publisher | None = None, topic: str = "") -> None:
        self._directory = directory
        self._publisher = publisher
        self._topic = topic
        self._counts = RefusalCounts()
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def count(
        self, status: int, code: str, org_id: str | None, credential: str | None, address: str | None, sample: RefusedRequest | None = None
    ) -> None:
        """Count a refusal: 401, 403, 404 and 429. `credential` is the key's hint, `address` the client's; a sample has a known key."""
        if status not in {401, 403, 404, 429}:
            return
        SECURITY_REFUSALS.labels(status, code).inc()
        if self._directory is not None:
            minute_ms = _now_ms() // MINUTE_MS * MINUTE_MS
            self._counts.add(Kind(minute_ms, status, code, org_id, credential, network_of(address) if address else None), sample)

    async def run(self, stop: asyncio.Event) -> None:
        """Hand over minute by minute until `stop` is set, then everything. Never raises for a full disk or Kafka away."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(_INTERVAL_S):
                    await stop.wait()
            except TimeoutError:
                await self._hand_over(_now_ms() // MINUTE_MS * MINUTE_MS)
        try:
            async with asyncio.timeout(_LAST_S):
                await self._hand_over(_now_ms() + MINUTE_MS)
        except TimeoutError:
            log.warning("security events stay on disk until the next start")
        if self._publisher is not None:
            await self._publisher.close()

    async def _hand_over(self, before_ms: int) -> None:
        if self._directory is None:
            return
        try:
            self._write(self._directory, [_event(kind, requests, samples) for kind, requests, samples in self._counts.take_before(before_ms)])
            if self._publisher is not None:
                await self._ship(self._directory, self._publisher)
        except OSError as error:
            log.error("security events cannot be written", error=str(error))
        except KafkaUnavailable as error:
            log.warning("Kafka does not take security events, they stay on disk", reason=str(error))

    def _write(self, directory: Path, events: list[RequestsRefused]) -> None:
        if not events:
            return
        if sum(1 for _ in directory.glob(f"*{SUFFIX}")) >= _MOST_FILES:
            SECURITY_EVENTS_DROPPED.inc(len(events))
            log.error("security events dropped, nobody takes them", directory=str(directory), events=len(events))
            return
        path = directory / f"{events[0].event_id}{SUFFIX}"
        unseen = path.with_suffix(".new")
        unseen.write_bytes(b"".join(encode(event) + b"\n" for event in events))
        unseen.replace(path)

    async def _ship(self, directory: Path, publisher: Publisher) -> None:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            events = [decode(line) for line in path.read_bytes().splitlines()]
            await publisher.publish(self._topic, [_message(event) for event in events])
            path.unlink(missing_ok=True)


def _event(kind: Kind, requests: int, samples: tuple[RefusedRequest, ...]) -> RequestsRefused:
    return RequestsRefused(event_id=str(uuid7(_now_ms())), requests=requests, samples=samples, **kind._asdict())


def _message(event: RequestsRefused) -> Message:
    return Message((event.org_id or "").encode(), encode(event), cloudevents.headers(TYPE, SOURCE, event.event_id, event.minute_ms))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
