"""One task that tells the admission store everything: first heartbeats, then settlements, never both at once.

In this order and in one task no hold is made again for a request whose settlement is on its way.
"""

import asyncio

from extproc.heartbeats import Heartbeats
from extproc.ports import Spool, SpoolUnavailable
from extproc.settlements import Settlements
from extproc.ticks import ticks
from ias import logs
from ratelimit.ports import StoreUnavailable

log = logs.get(__name__)

_LAST_RETRY_S = 2.0


class StoreLoop:
    """Runs every `interval_s`; while the store or the disk is away, ever less often up to every two seconds."""

    def __init__(self, heartbeats: Heartbeats, settlements: Settlements, spool: Spool, interval_s: float = 0.1) -> None:
        self._heartbeats, self._settlements, self._spool = heartbeats, settlements, spool
        self._interval_s = interval_s

    async def run(self, finish: asyncio.Event) -> None:
        """Tell the store until `finish` is set."""
        pause_s = 0.0
        async for _ in ticks(self._interval_s, finish):
            try:
                await self.tell()
            except (StoreUnavailable, SpoolUnavailable) as error:
                if not pause_s:
                    log.warning("the store is not told of live and ended requests, trying again", error=str(error))
                pause_s = min(2 * pause_s or self._interval_s, _LAST_RETRY_S)
                await asyncio.sleep(pause_s)
            else:
                if pause_s:
                    log.info("the store is told of live and ended requests again")
                pause_s = 0.0

    async def tell(self) -> None:
        """Beat and settle for what there is now, behind one `sync` for both; raise StoreUnavailable or SpoolUnavailable."""
        live, ended = self._heartbeats.due(), self._settlements.due()
        if not (live or ended):
            return
        await self._spool.sync()
        await self._heartbeats.beat(live)
        await self._settlements.settle(ended)
