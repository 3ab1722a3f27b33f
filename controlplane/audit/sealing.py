"""Sealing the audit log, batch by batch, and verifying that it is what was sealed.

The order of `seq` is final where the sealer reads it: writers hold `AUDIT_WRITERS` shared from their number to their commit, and whoever held
it alone has seen every lower number that will ever be. Of many workers one seals at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncpg import LockNotAvailableError
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import advisory_locks
from controlplane.audit.chain import Entry, Seal, flaw, seal
from controlplane.audit.repository import ChainRepository
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs
from ias.telemetry import AUDIT_SEALED

MOST_ROWS = 10_000
MANY_ROWS = 1_000
"""So many rows are sealed at once, without waiting for the interval to pass."""

_POLL_S = 5.0
_WAIT_FOR_WRITERS = "200ms"
"""Longer, and those who come behind us in the queue would notice."""

log = logs.get(__name__)


class Sealer:
    """Seals what is new, every `interval_s` or when it is much. `now` is the wall clock."""

    def __init__(self, engine: AsyncEngine, interval_s: float, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._interval_s = interval_s
        self._now = now

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until `stop` is set. Never raises for PostgreSQL away."""
        while not stop.is_set():
            try:
                if await self.is_due():
                    while await self.step():
                        pass
            except (SQLAlchemyError, OSError) as error:
                log.warning("the audit log is not sealed for now", reason=str(error).splitlines()[0], retry_in_seconds=_POLL_S)
            try:
                async with asyncio.timeout(min(_POLL_S, self._interval_s)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def is_due(self) -> bool:
        """Whether there is enough to seal, or something that has waited long enough."""
        async with unit_of_work(self._engine) as uow:
            waiting, oldest = await ChainRepository(uow, EVERYTHING).waiting(MANY_ROWS)
        return oldest is not None and (waiting >= MANY_ROWS or (self._now() - oldest).total_seconds() >= self._interval_s)

    async def step(self) -> Seal | None:
        """Seal one batch; None: there is nothing to seal, another process seals, or writers keep the log busy."""
        if (final := await self._final_seq()) is None:
            return None
        async with unit_of_work(self._engine) as uow:
            if not (await uow.execute(select(func.pg_try_advisory_xact_lock(advisory_locks.AUDIT_SEALERS)))).scalar_one():
                return None
            repository = ChainRepository(uow, EVERYTHING)
            previous = await repository.last_seal()
            entries = await repository.entries(previous.last_seq if previous else None, final, MOST_ROWS)
            if not entries:
                return None
            made = seal(previous, entries)
            await repository.add(made)
        AUDIT_SEALED.inc(made.rows)
        # The log is the place outside of the database that a seal can be compared with.
        log.info("audit log sealed", seal=made.mark, rows=made.rows)
        return made

    async def _final_seq(self) -> int | None:
        """Up to which number no row can appear any more; None: not known now."""
        async with unit_of_work(self._engine) as uow:
            await uow.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_WRITERS}'"))
            try:
                await uow.execute(select(func.pg_advisory_xact_lock(advisory_locks.AUDIT_WRITERS)))
            except DBAPIError as error:
                if not isinstance(error.driver_exception, LockNotAvailableError):
                    raise
                await uow.close()
                return None
            return await ChainRepository(uow, EVERYTHING).last_seq()


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. `broken` is the first batch that is not what was sealed, `reason` why."""

    seals: int
    rows: int
    head: Seal | None
    unsealed: int
    broken: Seal | None = None
    reason: str = ""


async def verify(engine: AsyncEngine, expected: Sequence[str] = ()) -> Verified:
    """Check every seal against its rows, oldest first, up to the first flaw. `expected` are marks of seals noted down before."""
    marks = {int(mark.partition(":")[0]): mark for mark in expected}
    previous: Seal | None = None
    rows = seals = 0
    async for sealed, entries in _batches(engine):
        reason = flaw(previous, sealed, entries)
        if reason is None and marks.pop(sealed.number, sealed.mark) != sealed.mark:
            reason = "it is not the seal that was noted down"
        if reason is not None:
            return Verified(seals, rows, previous, 0, sealed, reason)
        previous, seals, rows = sealed, seals + 1, rows + len(entries)
    if marks:
        return Verified(seals, rows, previous, 0, None, f"seal {min(marks)} that was noted down is not there: the end of the log was cut off")
    async with unit_of_work(engine) as uow:
        unsealed = await ChainRepository(uow, EVERYTHING).count_behind(previous.last_seq if previous else 0)
    return Verified(seals, rows, previous, unsealed)


def report(verified: Verified) -> str:
    """What `ias audit verify` prints."""
    checked = f"{verified.seals} seals over {verified.rows} rows of the audit log checked"
    if verified.reason:
        where = f"seal {verified.broken.number} (rows {verified.broken.first_seq} to {verified.broken.last_seq})" if verified.broken else "the end"
        return f"BROKEN at {where}: {verified.reason}\n{checked} before it, they are what was sealed"
    head = f"head {verified.head.mark}" if verified.head else "nothing is sealed yet"
    return f"intact: {checked}, {verified.unsealed} newer ones wait for their seal\n{head}"


async def _batches(engine: AsyncEngine) -> AsyncIterator[tuple[Seal, list[Entry]]]:
    """One short transaction a batch: what is sealed does not change, or that is what is looked for."""
    number, after = 0, None
    while True:
        async with unit_of_work(engine) as uow:
            repository = ChainRepository(uow, EVERYTHING)
            if (sealed := await repository.next_seal(number)) is None:
                return
            entries = await repository.entries(after, sealed.last_seq, None)
        yield sealed, entries
        number, after = sealed.number, sealed.last_seq
