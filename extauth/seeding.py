"""Budget counters that the store does not know, or has lost, get their base from the ledger: one read for each, however many wait."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from extauth.ports import BudgetLedger
from ias.change_log import ReaderUnavailable
from ratelimit.ports import AdmissionStore, StoreUnavailable, Unseeded

_MAX_READS = 1_000


@dataclass(frozen=True, slots=True)
class Seeding:
    """One counter on its way: its sum in the ledger, and then its base in the store."""

    read: "asyncio.Task[int]"
    written: "asyncio.Task[None]"


class BudgetSeeder:
    """Whoever waits for the same counter waits for the same read. `timeout_s` bounds the wait of a request for the ledger."""

    def __init__(self, ledger: BudgetLedger, store: AdmissionStore, timeout_s: float) -> None:
        self._ledger = ledger
        self._store = store
        self._timeout_s = timeout_s
        self._running: dict[Unseeded, Seeding] = {}

    async def read(self, counters: Sequence[Unseeded]) -> list[Seeding]:
        """Return when the ledger has told all sums; raise ReaderUnavailable when one cannot be had in time."""
        seedings = [self._join(counter) for counter in counters]
        await _all([seeding.read for seeding in seedings], self._timeout_s, ReaderUnavailable(f"no answer within {self._timeout_s} s"))
        return seedings

    async def write(self, seedings: Sequence[Seeding], timeout_s: float) -> None:
        """Return when the store has all bases; raise StoreUnavailable when it does not in time."""
        await _all([seeding.written for seeding in seedings], timeout_s, StoreUnavailable("no answer within the deadline"))

    async def finish(self) -> None:
        """Wait until nothing is being read."""
        while self._running:
            await asyncio.wait([seeding.written for seeding in self._running.values()])

    def _join(self, counter: Unseeded) -> Seeding:
        if (seeding := self._running.get(counter)) is None:
            if len(self._running) >= _MAX_READS:
                raise ReaderUnavailable("too many reads are waiting")
            read = asyncio.ensure_future(self._ledger.spent(counter.budget, counter.since_ms))
            seeding = self._running[counter] = Seeding(read, asyncio.ensure_future(self._write(counter, read)))
            seeding.written.add_done_callback(lambda done: self._ended(counter, done))
        return seeding

    async def _write(self, counter: Unseeded, read: "asyncio.Task[int]") -> None:
        await self._store.seed(counter.budget, counter.since_ms, await read)

    def _ended(self, counter: Unseeded, task: "asyncio.Task[None]") -> None:
        del self._running[counter]
        if not task.cancelled():
            task.exception()  # whoever waits gets it; when nobody does any more, it is not worth a warning


async def _all(tasks: Sequence["asyncio.Task[Any]"], timeout_s: float, late: Exception) -> None:
    """Wait for all; raise what one of them raised, or `late`."""
    done, waiting = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    if waiting:
        raise late
