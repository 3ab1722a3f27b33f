"""Many writers on several replicas of the API at once, and a reader of the change log that must miss nothing.

Every writer reads a budget and writes one token more, under the ETag that it read; who was overtaken reads again. So the sum of all
budgets is the number of writes that succeeded, or one was lost.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import httpx2

from ias.gateway_views import CHANGES

POLL_S = 0.5
"""As extauth reads the change log."""


@dataclass
class Figures:
    """What came of it. Times are seconds."""

    writes: int = 0
    overtaken: int = 0
    sent_away: int = 0
    """Requests that got 503 with `retry-after`: nothing was changed, and they were made again."""
    errors: list[str] = field(default_factory=list)
    seconds: float = 0
    seen: int = 0
    out_of_order: int = 0
    delays: list[float] = field(default_factory=list)
    """From the answer of a write until the reader has its row; below zero: it was there before the answer."""

    @property
    def delay_p99(self) -> float:
        return statistics.quantiles(self.delays, n=100)[98]


class Reader:
    """Polls the change log from where it was, as extauth does, and notes when each row was seen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen_at: list[float] = []
        self.out_of_order = 0

    async def run(self, total: int) -> None:
        """Read until `total` rows were seen. A row that appears below one that was seen before is never read: it would be missing at the end."""
        connection, last = await asyncpg.connect(self._url), 0
        try:
            while len(self.seen_at) < total:
                rows = await connection.fetch(f"SELECT seq FROM {CHANGES} WHERE seq > $1 ORDER BY seq", last)
                last = rows[-1]["seq"] if rows else last
                self.seen_at += [time.monotonic()] * len(rows)
                await asyncio.sleep(POLL_S)
            self.out_of_order = await connection.fetchval(f"SELECT count(*) FROM {CHANGES}") - len(self.seen_at)
        finally:
            await connection.close()


async def add_one(client: httpx2.AsyncClient, path: str) -> httpx2.Response:
    """Read a budget and write one token more; return the answer, that of the read where it failed."""
    read = await client.get(path)
    if read.status_code != 200:
        return read
    return await client.put(path, json={"tokens": read.json()["tokens"] + 1}, headers={"if-match": read.headers["etag"]})


async def write_at_once(
    url: str, replicas: Sequence[httpx2.AsyncClient], budgets: Sequence[str], writers: int, total: int, patience_s: float
) -> Figures:
    """Let `writers` make `total` changes of the budgets at these paths, over all replicas in turn; clients are signed in."""
    figures, left, reader = Figures(), iter(range(total)), Reader(url)
    answered: list[float] = []

    async def write(number: int) -> None:
        for turn in left:
            client, path = replicas[(number + turn) % len(replicas)], budgets[turn % len(budgets)]
            while True:
                written = await add_one(client, path)
                if written.status_code == 503:
                    figures.sent_away += 1
                    await asyncio.sleep(float(written.headers["retry-after"]))
                elif written.status_code == 412:
                    figures.overtaken += 1
                else:
                    break
            if written.status_code != 200:
                figures.errors.append(f"{written.status_code} {written.text}")
                return
            answered.append(time.monotonic())

    began = time.monotonic()
    async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run(total))
        for number in range(writers):
            tasks.create_task(write(number))
    figures.seconds, figures.writes = max(answered) - began, len(answered)
    figures.seen, figures.out_of_order = len(reader.seen_at), reader.out_of_order
    # Rows have no trace of their write; the n-th row seen belongs to the n-th answer or an earlier one, so this is never too small by an order.
    figures.delays = [seen - answer for seen, answer in zip(sorted(reader.seen_at), sorted(answered), strict=True)]
    return figures
