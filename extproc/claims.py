"""Tells the admission store, a batch at a time, which reservations are safe in the spool. No stream waits for it.

Claimed is only what survives a power failure: until then the store keeps the request for a reaper to find.
"""

import asyncio
import itertools

from extproc.ports import Spool, SpoolUnavailable
from ias import logs
from ratelimit.ports import AdmissionStore, StoreUnavailable

log = logs.get(__name__)

_BATCH = 1_000
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 2.0


class ClaimQueue:
    """Claims are kept while the store or the disk is away, at most `limit`.

    Above it the oldest is dropped: its reservation is then reaped as lost, which the real event replaces.
    """

    def __init__(self, store: AdmissionStore, spool: Spool, interval_s: float = 0.1, limit: int = 100_000) -> None:
        self._store = store
        self._spool = spool
        self._interval_s = interval_s
        self._limit = limit
        self._pending: dict[str, str] = {}
        self._work = asyncio.Event()
        self._closing = False

    def add(self, org_id: str, reservation_id: str) -> None:
        if len(self._pending) >= self._limit:
            del self._pending[next(iter(self._pending))]
        self._pending[reservation_id] = org_id
        self._work.set()

    def is_pending(self, reservation_id: str) -> bool:
        return reservation_id in self._pending

    def close(self) -> None:
        """Let `run` end. What still waits can be tried once more with `flush`."""
        self._closing = True
        self._work.set()

    async def run(self) -> None:
        """Claim what is added, until closed. Not to be cancelled: redis-py may swallow it."""
        retry_s = _FIRST_RETRY_S
        while True:
            await self._work.wait()
            if self._closing:
                return
            await asyncio.sleep(self._interval_s)
            try:
                await self.flush()
            except (StoreUnavailable, SpoolUnavailable) as error:
                log.warning("reservations cannot be claimed, trying again", waiting=len(self._pending), error=str(error))
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S

    async def flush(self) -> None:
        """Claim everything that waits; raise StoreUnavailable or SpoolUnavailable and keep the rest."""
        while batch := list(itertools.islice(self._pending.items(), _BATCH)):
            await self._spool.sync()
            await self._store.claim([(org_id, reservation_id) for reservation_id, org_id in batch])
            for reservation_id, _ in batch:
                self._pending.pop(reservation_id, None)
        if not self._closing:
            self._work.clear()
