"""Follows the change log, so that the snapshot is the truth of at most one poll ago."""

import time
from collections.abc import Callable, Sequence

from extauth.live_credentials import LiveCredentials, TooManyCredentials
from extauth.ports import GatewayReader
from extauth.snapshot import Changed, Snapshot
from ias import telemetry
from ias.change_log import Change, ChangeFollower, Position, ReaderUnavailable


class ChangeWatcher(ChangeFollower):
    """Loads the snapshot and keeps it up to date. Raises TooManyCredentials beside what all followers raise."""

    transient = (ReaderUnavailable, TooManyCredentials)

    def __init__(
        self, reader: GatewayReader, snapshot: Snapshot, max_credentials: int, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(reader, interval_s, clock)
        self._reader = reader
        self._snapshot = snapshot
        self._max_credentials = max_credentials

    def is_fresh(self, now_s: float) -> bool:
        return self._snapshot.is_fresh(now_s)

    async def read_all(self) -> str:
        live = LiveCredentials(self._max_credentials)
        await self._reader.each_credential_id(live.load)
        publications = await self._reader.publications()
        self._snapshot.replace(live, publications)
        return f"{len(live)} credentials, {len(publications)} publications"

    async def take(self, changes: Sequence[Change]) -> None:
        changed = Changed.of(changes)
        credentials = await self._reader.credentials(changed.credentials) if changed.credentials else []
        changed = self._snapshot.with_visited(changed)
        publications = await self._reader.publications(changed.publications) if changed.publications else []
        self._snapshot.apply(changed, credentials, publications)

    def confirm(self, _: Position, at_s: float) -> None:
        self._snapshot.confirm(at_s)
        telemetry.LIVE_CREDENTIALS.set(len(self._snapshot.live))
