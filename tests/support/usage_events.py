"""Events, spools and a ledger in memory, for tests of the usage consumer."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from controlplane.usage.ports import DeadLetter, LedgerRefused, LedgerUnavailable, Position, Positions, Written
from controlplane.usage.rules import merge, supersedes
from ias.context import RequestContext
from ias.endpoints import Endpoint
from ias.ids import uuid7
from ias.spool_format import MAGIC, Opened, segment_path
from ias.usage_event import Outcome, RequestRecorded

ADMITTED_MS = 1_790_000_000_000


def some_id(number: int = 0) -> str:
    return str(uuid.UUID(int=number + 1, version=4))


def event(number: int = 0, outcome: Outcome = Outcome.COMPLETE, **changes: Any) -> RequestRecorded:
    """Make an event; equal numbers have equal ids."""
    fields: dict[str, Any] = {
        "event_id": str(uuid7(ADMITTED_MS + number, number)),
        "org_id": some_id(1),
        "user_id": some_id(2),
        "key_id": some_id(3),
        "publication_id": some_id(4),
        "model": "chat",
        "upstream_model": "sim-chat",
        "endpoint": Endpoint.CHAT_COMPLETIONS,
        "stream": True,
        "outcome": outcome,
        "ended_at_ms": ADMITTED_MS + number + 500,
        "request_id": f"request-{number}",
    }
    return RequestRecorded(**fields | changes)


def opened(number: int = 0) -> Opened:
    """Make the record that precedes `event(number)` in a spool."""
    ended = event(number)
    context = RequestContext(
        reservation_id=ended.event_id,
        request_id=ended.request_id,
        path="/v1/chat/completions",
        signed_at_ms=ADMITTED_MS + number,
        org_id=ended.org_id,
        user_id=ended.user_id,
        key_id=ended.key_id,
        publication_id=ended.publication_id,
        model=ended.model,
        upstream_model=ended.upstream_model,
        endpoint=ended.endpoint,
        stream=ended.stream,
        add_usage=False,
    )
    return Opened(context, ADMITTED_MS + number)


class SpoolWriter:
    """Writes a spool as extproc does, but byte by byte where a test wants it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.segment = 0
        directory.mkdir(parents=True, exist_ok=True)

    def new_segment(self) -> None:
        self.segment += 1
        segment_path(self.directory, self.segment).write_bytes(MAGIC)

    def append(self, data: bytes) -> None:
        if not self.segment:
            self.new_segment()
        with segment_path(self.directory, self.segment).open("ab") as file:
            file.write(data)


class MemoryLedger:
    """A ledger that keeps the port's promises and forgets at exit. `failures` makes the next writes fail; `poison` is refused for ever."""

    def __init__(self) -> None:
        self.buried: dict[tuple[str, Position], DeadLetter] = {}
        self.poison: set[str] = set()
        self.rows: dict[str, RequestRecorded] = {}
        self.kept_positions: dict[str, Position] = {}
        self.failures = 0
        self.on_write: Callable[[], object] = int

    async def positions(self) -> dict[str, Position]:
        return dict(self.kept_positions)

    async def write(self, events: Sequence[RequestRecorded], positions: Positions) -> Written:
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("down")
        if any(new.event_id in self.poison for new in events):
            raise LedgerRefused("poison")
        inserted = replaced = 0
        for new in merge(events):
            if (old := self.rows.get(new.event_id)) is None:
                inserted += 1
            elif supersedes(new, old):
                replaced += 1
            else:
                continue
            self.rows[new.event_id] = new
        self.kept_positions.update(positions)
        self.on_write()
        return Written(inserted, replaced, len(events) - inserted - replaced)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self.buried.setdefault((letter.stream, letter.position), letter)
