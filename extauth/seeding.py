"""Budget counters that the store does not know, or has lost, get their base from the ledger: one read for each, however many wait."""

import asyncio
from collections.abc import Sequence

from extauth.ports import BudgetLedger, ReaderUnavailable
from ratelimit.ports import AdmissionStore, Unseeded

_MAX_READS = 1_000


class BudgetSeeder:
    """`timeout_s` bounds the wait of a request for the ledger; the store bounds that for itself."""

    def __init__(self, ledger: BudgetLedger, store: AdmissionStore, timeout_s: float) -> None:
        self._ledger = ledger
        self._store = store
        self._timeout_s = timeout_s
        self._running: dict[Unseeded, asyncio.Task[None]] = {}

    async def seed(self, counters: Sequence[Unseeded]) -> None:
        """Return when all have their base; raise ReaderUnavailable or StoreUnavailable when one cannot get it in time."""
        tasks = [self._join(counter) for counter in counters]
        done, waiting = await asyncio.wait(tasks, timeout=self._timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if waiting:
            raise ReaderUnavailable(f"no answer within {self._timeout_s} s")

    async def finish(self) -> None:
        """Wait until nothing is being read."""
        while self._running:
            await asyncio.wait(self._running.values())

    def _join(self, counter: Unseeded) -> "asyncio.Task[None]":
        if (task := self._running.get(counter)) is None:
            if len(self._running) >= _MAX_READS:
                raise ReaderUnavailable("too many reads are waiting")
            task = self._running[counter] = asyncio.ensure_future(self._seed(counter))
            task.add_done_callback(lambda done: self._ended(counter, done))
        return task

    async def _seed(self, counter: Unseeded) -> None:
        base = await self._ledger.spent(counter.budget, counter.since_ms)
        await self._store.seed(counter.budget, counter.since_ms, base)

    def _ended(self, counter: Unseeded, task: "asyncio.Task[None]") -> None:
        del self._running[counter]
        if not task.cancelled():
            task.exception()  # whoever waits gets it; when nobody does any more, it is not worth a warning
