"""Adds up afterwards: what was admitted, what was recorded, what the ledger holds, and what the engine says it cost."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import httpx2

from standalone.engine_simulator.meters import Entry
from tests.support.postgres import run_apart


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    event_id: str
    request_id: str
    outcome: str
    source: str
    stream: bool
    status: int
    input: int
    output: int
    held: int


_ROWS = """
SELECT event_id::text, request_id, outcome, usage_source, stream, http_status, input_tokens, output_tokens, held_tokens
FROM ledger WHERE org_id = ANY($1::uuid[])
"""
_ROLLED_UP = (
    "SELECT coalesce(sum(requests), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM {} WHERE org_id = ANY($1::uuid[])"
)


@dataclass(frozen=True)
class Books:
    """The ledger's rows of some orgs, and its sums of them by quarter hours and by days: (requests, input, output)."""

    rows: tuple[Row, ...]
    quarter_hours: tuple[int, int, int]
    days: tuple[int, int, int]

    @property
    def summed(self) -> tuple[int, int, int]:
        """What the rows add up to."""
        return len(self.rows), sum(row.input for row in self.rows), sum(row.output for row in self.rows)

    @property
    def duplicates(self) -> int:
        return len(self.rows) - len({row.event_id for row in self.rows})


def read_books(database_url: str, org_ids: Sequence[str]) -> Books:
    """Read the ledger; raises OSError or asyncpg's errors while PostgreSQL is down."""
    return run_apart(_read_books(database_url, org_ids))


async def _read_books(database_url: str, org_ids: Sequence[str]) -> Books:
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = tuple(Row(*record) for record in await connection.fetch(_ROWS, org_ids))
            sums = [await connection.fetchrow(_ROLLED_UP.format(table), org_ids) for table in ("usage_quarter_hours", "usage_days")]
        return Books(rows, tuple(map(int, sums[0])), tuple(map(int, sums[1])))  # type: ignore[arg-type]  # three columns
    finally:
        await connection.close()


def unbalanced(books: Books, admitted: int, events: Counter[str] | None) -> list[str]:
    """Say where requests that were admitted, events in Kafka (None: there is none), rows and rollups are not the same."""
    wrong = []
    ids = {row.event_id for row in books.rows}
    if len(books.rows) != admitted:
        wrong.append(f"{admitted} requests were admitted, the ledger has {len(books.rows)} rows")
    if books.duplicates:
        wrong.append(f"{books.duplicates} rows of the ledger are duplicates")
    if not books.summed == books.quarter_hours == books.days:
        wrong.append(f"rows add up to {books.summed}, quarter hours to {books.quarter_hours}, days to {books.days}")
    if events is not None and set(events) != ids:
        wrong.append(f"Kafka has {len(events)} events, {len(set(events) ^ ids)} of them, or of the rows, have no counterpart")
    return wrong


class Admissions:
    """How many requests extauth has admitted; survives its death if `before_death` is called first."""

    def __init__(self, metrics_url: str) -> None:
        self._url = metrics_url
        self._of_the_dead = 0
        self._at_first = self._read()

    def before_death(self) -> None:
        """Extauth is about to be killed, and nothing is admitted any more: keep its count."""
        self._of_the_dead += self._read()

    @property
    def count(self) -> int:
        return self._of_the_dead + self._read() - self._at_first

    def _read(self) -> int:
        text = httpx2.get(self._url, timeout=30).text
        return round(sum(float(value) for value in re.findall(r"^ias_admissions_total\{.*\} (\S+)$", text, re.MULTILINE)))


@dataclass
class Difference:
    """Ledger against engine, over requests of one class."""

    requests: int = 0
    ledger_input: int = 0
    ledger_output: int = 0
    engine_input: int = 0
    engine_output: int = 0
    lowest: int = 0
    """Smallest of (engine - ledger) over the requests, output tokens."""
    highest: int = 0
    unknown: int = 0
    """Rows that the engine knows nothing of: it never got the request."""
    apart: Counter[int] = field(default_factory=Counter)
    """How many requests differ by how many output tokens."""

    def add(self, row: Row, entry: Entry | None) -> None:
        """One more request."""
        self.requests += 1
        self.ledger_input += row.input
        self.ledger_output += row.output
        if entry is None:
            self.unknown += 1
            return
        self.engine_input += entry.prompt
        self.engine_output += entry.generated
        apart = entry.generated - row.output
        self.apart[apart] += 1
        self.lowest, self.highest = min(self.apart), max(self.apart)


Comparison = Mapping[tuple[str, str, str], Difference]
"""By outcome and usage source in the ledger, and how the request ended in the engine."""


def compare(rows: Iterable[Row], entries: Mapping[str, Entry]) -> Comparison:
    """Sum up by (outcome, usage source, how it ended in the engine)."""
    found: dict[tuple[str, str, str], Difference] = defaultdict(Difference)
    for row in rows:
        entry = entries.get(row.request_id)
        found[row.outcome, row.source, entry.end if entry else "never there"].add(row, entry)
    return dict(sorted(found.items()))


def print_comparison(found: Comparison) -> None:
    """Print the table for people."""
    sums = "".join(f"{name:>11}" for name in ("ledger in", "engine in", "ledger out", "engine out"))
    print(f"\n{'outcome':<15}{'usage':<11}{'engine':<12}{'requests':>9}{sums}  engine - ledger, output tokens of a request: requests")
    for (outcome, source, end), one in found.items():
        apart = ", ".join(f"{tokens:+d}: {count}" for tokens, count in sorted(one.apart.items())[:6]) or "-"
        print(
            f"{outcome:<15}{source:<11}{end:<12}{one.requests:>9}{one.ledger_input:>11}{one.engine_input:>11}"
            f"{one.ledger_output:>11}{one.engine_output:>11}  {apart}"
        )


def count_kafka_events(bootstrap: str, topic: str, org_ids: Sequence[str]) -> Counter[str]:
    """Read a topic from its begin to its end and return how often each event of the orgs is in it, by id."""
    return run_apart(_count_kafka_events(bootstrap, topic, {org.encode() for org in org_ids}))


async def _count_kafka_events(bootstrap: str, topic: str, keys: set[bytes]) -> Counter[str]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(120):
            while not (numbers := consumer.partitions_for_topic(topic)):
                await consumer._client.force_metadata_update()
                await asyncio.sleep(0.1)
            partitions = [TopicPartition(topic, number) for number in numbers]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            counted: Counter[str] = Counter()
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for messages in (await consumer.getmany(timeout_ms=500)).values():
                    counted.update(_ce_id(message.headers) for message in messages if message.key in keys)
            return counted
    finally:
        await consumer.stop()


def _ce_id(headers: Sequence[tuple[str, bytes]]) -> str:
    return dict(headers)["ce_id"].decode()
