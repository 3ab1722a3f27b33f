"""Whatever the reads are cut into and wherever consumer and writer die: each event is in the ledger once, and real wins."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from controlplane.usage.consumer import Consumer
from controlplane.usage.ports import Positions
from controlplane.usage.source_spool import SpoolSource
from ias.spool_format import Closed, encode, segment_numbers
from ias.usage_event import Outcome, RequestRecorded
from tests.support.usage_events import ADMITTED_MS, MemoryLedger, SpoolWriter, event, opened

MAX_RECORD = len(encode(Closed(event(9, Outcome.UPSTREAM_ERROR)))) + 64


@dataclass(frozen=True)
class Close:
    number: int
    outcome: Outcome


@dataclass(frozen=True)
class Open:
    number: int


@dataclass(frozen=True)
class Tear:
    """The writer has written only a part of the record so far; it goes on, or dies and begins a new segment."""

    number: int
    bytes_written: int
    dies: bool


@dataclass(frozen=True)
class Rotate:
    pass


@dataclass(frozen=True)
class Consume:
    """One batch; or the consumer dies before the commit, or between the commit and the deletion, and starts anew."""

    dies: str


numbers = st.integers(0, 9)
steps = st.one_of(
    st.builds(Close, numbers, st.sampled_from([Outcome.LOST, Outcome.COMPLETE])),
    st.builds(Open, numbers),
    st.builds(Tear, numbers, st.integers(0, 120), st.booleans()),
    st.builds(Rotate),
    st.builds(Consume, st.sampled_from(["never", "before commit", "after commit"])),
)


class Died(Exception):
    pass


class FragileLedger(MemoryLedger):
    dies = "never"

    async def write(self, events: object, positions: Positions) -> object:  # type: ignore[override]
        if self.dies == "before commit":
            raise Died
        return await super().write(events, positions)  # type: ignore[arg-type]


class FragileSource(SpoolSource):
    dies = "never"

    async def committed(self, positions: Positions) -> None:
        if self.dies == "after commit":
            raise Died
        await super().committed(positions)


class Scene:
    """Two spools, one ledger, and a consumer that may die."""

    def __init__(self, home: Path, read_bytes: int) -> None:
        self.writers = [SpoolWriter(home / name) for name in "ab"]
        self.read_bytes = read_bytes
        self.ledger = FragileLedger()
        self.written: list[RequestRecorded] = []
        self.start_consumer()

    def start_consumer(self) -> None:
        self.source = FragileSource([writer.directory for writer in self.writers], self.ledger.bury, self.read_bytes)
        self.consumer = Consumer(self.source, self.ledger, lambda: ADMITTED_MS)

    def close(self, writer: SpoolWriter, ended: RequestRecorded) -> None:
        writer.append(encode(Closed(ended)))
        self.written.append(ended)

    async def consume(self, dies: str) -> bool:
        self.ledger.dies = self.source.dies = dies
        try:
            return await self.consumer.step()
        except Died:
            self.start_consumer()
            return True


async def play(scene: Scene, script: list[tuple[int, object]]) -> None:
    for which, step in script:
        writer = scene.writers[which]
        match step:
            case Close(number, outcome):
                scene.close(writer, event(number, outcome))
            case Open(number):
                writer.append(encode(opened(number)))
            case Tear(number, bytes_written, dies):
                record = encode(Closed(event(number)))
                writer.append(record[:bytes_written])
                await scene.consume("never")
                if dies:
                    writer.new_segment()
                else:
                    writer.append(record[bytes_written:])
                    scene.written.append(event(number))
            case Rotate():
                writer.new_segment()
            case Consume(dies):
                await scene.consume(dies)
    for writer in scene.writers:
        scene.close(writer, event(10))  # a commit after the last crash, so that everything consumed goes
    while await scene.consume("never"):
        pass


@given(script=st.lists(st.tuples(st.integers(0, 1), steps), max_size=60), read_bytes=st.integers(MAX_RECORD, 4 * MAX_RECORD))
def test_each_event_exactly_once_and_real_wins(script: list[tuple[int, object]], read_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        scene = Scene(Path(home), read_bytes)
        asyncio.run(play(scene, script))
        real = {e.event_id: e for e in scene.written if e.outcome is not Outcome.LOST}
        assert scene.ledger.rows == {e.event_id: e for e in scene.written} | real
        for writer in scene.writers:
            assert segment_numbers(writer.directory) == [writer.segment], "what was consumed is deleted, the newest stays"
