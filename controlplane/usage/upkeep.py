"""Upkeep of what grows for ever: months of the ledger and days of security events that are past their retention."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from controlplane.security_events.ports import FeedUnavailable
from controlplane.usage.ledger_postgres import PostgresLedger
from controlplane.usage.ports import LedgerUnavailable
from ias import logs

_INTERVAL_S = 3_600.0
_RETRY_S = 60.0

log = logs.get(__name__)


def oldest_kept(now: datetime, months: int) -> datetime:
    """Return the first moment that the ledger keeps: `months` whole months before that of `now`; 0: from the beginning."""
    if months == 0:
        return datetime.min.replace(tzinfo=UTC)
    since = now.year * 12 + now.month - 1 - months
    return datetime(since // 12, since % 12 + 1, 1, tzinfo=UTC)


class Upkeep:
    """Drops every hour what is too old. `forget_security` deletes security events before a moment and returns how many."""

    def __init__(self, ledger: PostgresLedger, months: int, forget_security: Callable[[datetime], Awaitable[int]], security_days: int) -> None:
        self._ledger = ledger
        self._months = months
        self._forget_security = forget_security
        self._security_days = security_days

    async def run(self, stop: asyncio.Event) -> None:
        """Do it until `stop` is set."""
        while not stop.is_set():
            try:
                await self.step(datetime.now(UTC))
                pause = _INTERVAL_S
            except (LedgerUnavailable, FeedUnavailable) as error:
                log.warning("what is past its retention stays for now", reason=str(error), retry_in_seconds=_RETRY_S)
                pause = _RETRY_S
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue

    async def step(self, now: datetime) -> None:
        """Drop what is too old now; raise LedgerUnavailable or FeedUnavailable."""
        if self._months and (dropped := await self._ledger.drop_before(oldest_kept(now, self._months))):
            log.info("months of the ledger dropped, their sums stay", partitions=dropped)
        if deleted := await self._forget_security(now - timedelta(days=self._security_days)):
            log.info("old security events deleted", rows=deleted)
