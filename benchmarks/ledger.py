"""How fast does the worker bring events into the ledger, and how soon are they visible?

1. The worker alone, as `ias worker` runs, on a full Kafka topic and on a full spool (A B), into a PostgreSQL as `ias up` starts it
   (fsync on): events per second, from the first batch that is committed to the last.
2. 500 events a second for two minutes, written to a spool as extproc does at the end of each request (no HTTP in between), shipped
   to Kafka, consumed by the worker: the time from the end of a request until a query sees its row.

Without Java or Maven the spool stands alone in both parts.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.processes import cpu_s
from controlplane.usage.topics import ensure_topics
from extproc.kafka_sink import KafkaSink
from extproc.spool_files import SpoolFiles
from ias.ids import uuid7
from ias.kafka import KafkaSettings, Publisher
from ias.spool_format import MAGIC, Closed, encode, segment_path
from ias.usage_event import DEAD_TOPIC, TOPIC, Outcome, RequestRecorded
from standalone.postgres import Postgres
from standalone.process import launch
from tests.support.kafka import KafkaBroker, jars
from tests.support.postgres import migrate, run_apart, wait_until_ready
from tests.support.usage_events import event, some_id

EVENTS = 200_000
ORGS, KEYS, MODELS = 50, 4, 3
RATE_PER_S, SECONDS = 500, 120
_PARTITIONS = 6
_POLL_S = 0.1


def some_event(number: int, now_ms: int) -> RequestRecorded:
    """One of many orgs, keys and models, as a day in the office would make it."""
    draw = random.Random(number)
    org, key, model = draw.randrange(ORGS), draw.randrange(KEYS), draw.randrange(MODELS)
    return event(
        number,
        draw.choices([Outcome.COMPLETE, Outcome.CLIENT_ABORT, Outcome.UPSTREAM_ERROR], (95, 4, 1))[0],
        event_id=str(uuid7(now_ms, draw.getrandbits(80))),
        org_id=some_id(org),
        user_id=some_id(1_000 + org * KEYS + key),
        key_id=some_id(2_000 + org * KEYS + key),
        publication_id=some_id(9_000 + model),
        model=f"model-{model}",
        input_tokens=draw.randrange(10, 4_000),
        output_tokens=draw.randrange(1, 1_000),
        duration_ms=draw.randrange(100, 30_000),
        time_to_first_token_ms=draw.randrange(20, 500),
        http_status=200,
        ended_at_ms=now_ms,
        request_id=str(uuid7(now_ms)),
    )


@contextmanager
def postgres(kept: Path | None = None) -> Iterator[Postgres]:
    """A durable server with an empty database; in `kept`, if it is given, with the one that is there."""
    home = kept or Path(tempfile.mkdtemp(prefix="ias-pg-"))
    home.mkdir(exist_ok=True)
    (home / "password").write_text("password")
    (home / "socket").mkdir(mode=0o700, exist_ok=True)
    server = Postgres(home, home / "socket", home / "password", home / "log")
    server.create()
    process = launch(server.program())
    try:
        wait_until_ready(process, server)
        yield server
    finally:
        process.send_signal(signal.SIGINT if kept else signal.SIGQUIT)
        process.wait(20)
        if not kept:
            shutil.rmtree(home)


@contextmanager
def kafka() -> Iterator[KafkaBroker | None]:
    """A broker, or None where there can be none."""
    if not (shutil.which("java") and shutil.which("mvn")):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ias-kafka-") as home:
        broker = KafkaBroker(Path(home), jars())
        broker.start()
        try:
            yield broker
        finally:
            broker.close()


def postgres_cpu_s(server: Postgres) -> float:
    """CPU of all processes of the server that live, each of which works in its data directory."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink() == server.data:
                total += cpu_s(int(entry.name))
    return total


@asynccontextmanager
async def worker(database_url: str, log: Path, **environment: str) -> AsyncIterator[int]:
    """`python -m controlplane worker` as a process; gives its id."""
    environment = {**os.environ, "IAS_DATABASE_URL": database_url, "IAS_RECONCILE_INTERVAL_S": "0", **environment}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "controlplane", "worker", env=environment, stderr=out)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


@dataclass(frozen=True)
class Speed:
    """Of a worker alone."""

    events_per_s: float
    worker_cpu_us: float
    """Of one event."""
    postgres_cpu_us: float

    def __str__(self) -> str:
        return f"{self.events_per_s:.0f} events/s; CPU of one event: worker {self.worker_cpu_us:.0f} µs, PostgreSQL {self.postgres_cpu_us:.0f} µs"


async def speed(server: Postgres, log: Path, total: int, **environment: str) -> Speed:
    """Let a worker consume what is there."""
    connection = await asyncpg.connect(server.url())
    before = await connection.fetchval("SELECT count(*) FROM ledger")
    samples: list[tuple[int, float, float, float]] = []
    async with worker(server.url(), log, **environment) as pid:
        while not samples or samples[-1][0] < total:
            await asyncio.sleep(_POLL_S)
            # Rollups are few and move with the rows.
            rows = await connection.fetchval("SELECT coalesce(sum(requests), 0)::bigint FROM usage_days") - before
            if rows > (samples[-1][0] if samples else 0):
                samples.append((rows, time.perf_counter(), cpu_s(pid), postgres_cpu_s(server)))
    await connection.close()
    events, seconds, worker_cpu_s, database_cpu_s = (end - begin for begin, end in zip(samples[0], samples[-1], strict=True))
    return Speed(events / seconds, 1e6 * worker_cpu_s / events, 1e6 * database_cpu_s / events)


def fill_spool(directory: Path, start: int, count: int) -> None:
    """Write a spool of ended requests, in segments of 64 MB."""
    directory.mkdir(parents=True)
    now_ms = time.time_ns() // 1_000_000
    records = (encode(Closed(some_event(start + number, now_ms))) for number in range(count))
    for segment in range(1, 1_000):
        with segment_path(directory, segment).open("wb") as file:
            file.write(MAGIC)
            for record in records:
                file.write(record)
                if file.tell() > 64 << 20:
                    break
            else:
                return


async def ship_all(directory: Path, settings: KafkaSettings) -> None:
    """Bring a spool to Kafka."""
    publisher = Publisher(settings.kafka_client())
    sink = KafkaSink(directory, publisher, settings.topic(TOPIC))
    while await sink.ship():
        pass
    await publisher.close()


async def write_steadily(spool: SpoolFiles, start: int) -> None:
    """End `RATE_PER_S` requests a second, and force them to disk as often as extproc does."""
    began = time.perf_counter()
    for number in range(RATE_PER_S * SECONDS):
        delay = began + number / RATE_PER_S - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        if number % (RATE_PER_S // 5) == 0:
            await spool.sync()
        spool.close(Closed(some_event(start + number, time.time_ns() // 1_000_000)))
        spool.write()


async def watch(database_url: str, since_id: str, total: int) -> list[float]:
    """Return, for each row as it becomes visible, the seconds since its request ended."""
    connection = await asyncpg.connect(database_url)
    seen: set[object] = set()
    delays: list[float] = []
    query = "SELECT event_id, extract(epoch FROM ended_at)::float8 AS ended FROM ledger WHERE event_id > $1 AND recorded_at > now() - interval '5 s'"
    while len(delays) < total:
        rows = await connection.fetch(query, since_id)
        now = time.time()
        fresh = [row for row in rows if row["event_id"] not in seen]
        seen.update(row["event_id"] for row in fresh)
        delays += [now - row["ended"] for row in fresh]
        await asyncio.sleep(0.1)
    await connection.close()
    return delays


async def visible(database_url: str, folder: Path, settings: KafkaSettings | None) -> list[float]:
    """Part 2; returns the delays. The worker has started and has its partitions before the first of them."""
    directory = folder / "steady"
    spool, finish = SpoolFiles(directory, lambda: time.time_ns() // 1_000_000), asyncio.Event()
    environment = _environment(settings) if settings else {"IAS_SPOOL_DIRS": str(directory)}
    async with worker(database_url, folder / "worker.log", **environment), asyncio.TaskGroup() as group:
        if settings:
            group.create_task(KafkaSink(directory, Publisher(settings.kafka_client()), settings.topic(TOPIC)).run(finish))
        await first_is_visible(database_url, spool)
        since_id = str(uuid7(time.time_ns() // 1_000_000))
        watching = group.create_task(watch(database_url, since_id, RATE_PER_S * SECONDS))
        await write_steadily(spool, 10 * EVENTS)
        delays = await watching
        finish.set()
    spool.release()
    return delays


async def first_is_visible(database_url: str, spool: SpoolFiles) -> None:
    """Return when one event came through."""
    first = some_event(9 * EVENTS, time.time_ns() // 1_000_000)
    spool.close(Closed(first))
    spool.write()
    connection = await asyncpg.connect(database_url)
    while not await connection.fetchval("SELECT count(*) FROM ledger WHERE event_id = $1", first.event_id):  # noqa: ASYNC110 -- of another process
        await asyncio.sleep(_POLL_S)
    await connection.close()
    await asyncio.sleep(0.01)  # another millisecond than that of the first: ids tell them apart


def _environment(settings: KafkaSettings) -> dict[str, str]:
    return {"IAS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "IAS_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix}


async def measure(server: Postgres, folder: Path, broker: KafkaBroker | None) -> dict[str, float]:
    speeds: dict[str, Speed] = {}
    log, settings = folder / "worker.log", None
    if broker is not None:
        settings = KafkaSettings(kafka_bootstrap=broker.bootstrap, kafka_topic_prefix="bench.")
        await ensure_topics(settings.kafka_client(), [settings.topic(TOPIC), settings.topic(DEAD_TOPIC)], _PARTITIONS, 1)
        print(f"{EVENTS} events to Kafka", flush=True)
        fill_spool(folder / "for-kafka", 0, EVENTS)
        await ship_all(folder / "for-kafka", settings)
        speeds["Kafka"] = await speed(server, log, EVENTS, **_environment(settings))
    fill_spool(folder / "spool", EVENTS, EVENTS)
    speeds["the spool"] = await speed(server, log, EVENTS, IAS_SPOOL_DIRS=str(folder / "spool"))
    for name, found in speeds.items():
        print(f"from {name}: {found}", flush=True)
    print(f"{RATE_PER_S} events/s for {SECONDS} s, by {'Kafka' if settings else 'the spool'}", flush=True)
    delays = await visible(server.url(), folder, settings)
    percentiles = statistics.quantiles(delays, n=100)
    print(f"visible after p50 {percentiles[49]:.2f} s, p99 {percentiles[98]:.2f} s, at most {max(delays):.2f} s")
    # At a steady rate the two are the same (Little's law).
    print(f"lag: {RATE_PER_S * statistics.mean(delays):.0f} events ended and not yet visible on average, {RATE_PER_S * max(delays):.0f} at most")
    first = next(iter(speeds.values()))
    return {
        "events_per_s": round(first.events_per_s),
        "spool_events_per_s": round(speeds["the spool"].events_per_s),
        "worker_cpu_us": round(first.worker_cpu_us),
        "postgres_cpu_us": round(first.postgres_cpu_us),
        "visible_p50_s": round(percentiles[49], 3),
        "visible_p99_s": round(percentiles[98], 3),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres())
        broker = stack.enter_context(kafka())
        run_apart(migrate(server.url()))
        print("RESULT " + json.dumps(asyncio.run(measure(server, Path(folder), broker))))


if __name__ == "__main__":
    main()
