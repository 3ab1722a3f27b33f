"""Records of credentials that memory does not hold: one read of the truth for each id, however many requests wait for it."""

import asyncio

from extauth.ports import GatewayReader
from extauth.records import KnownCredential
from extauth.snapshot import Snapshot
from ias import telemetry
from ias.change_log import ReaderUnavailable

_MAX_READS = 1_000


class CredentialLookup:
    """Reads through to the truth and keeps what it read."""

    def __init__(self, reader: GatewayReader, snapshot: Snapshot, timeout_s: float) -> None:
        self._reader = reader
        self._snapshot = snapshot
        self._timeout_s = timeout_s
        self._reads: dict[tuple[str, int], asyncio.Task[KnownCredential | None]] = {}

    async def find(self, credential_id: str) -> KnownCredential | None:
        """Return the record, or None if it is gone; raise ReaderUnavailable after the timeout."""
        if credential_id in self._snapshot.records:
            return self._snapshot.records.get(credential_id)
        # A read that began before the last change may not see it: join only reads of this generation.
        ticket = (credential_id, self._snapshot.generation)
        if (read := self._reads.get(ticket)) is None:
            if len(self._reads) >= _MAX_READS:
                raise ReaderUnavailable("too many reads are waiting")
            read = self._reads[ticket] = asyncio.ensure_future(self._read(*ticket))
            read.add_done_callback(lambda done: self._ended(ticket, done))
        try:
            # A read that hangs goes on by itself: it must not take the requests that wait for it along.
            return await asyncio.wait_for(asyncio.shield(read), self._timeout_s)
        except TimeoutError as error:
            raise ReaderUnavailable(f"no answer within {self._timeout_s} s") from error

    async def _read(self, credential_id: str, generation: int) -> KnownCredential | None:
        telemetry.CREDENTIAL_READS.inc()
        rows = await self._reader.credentials([credential_id])
        record = KnownCredential.of(rows[0]) if rows else None
        if self._snapshot.generation == generation:
            self._snapshot.records.put(credential_id, record)
        return record

    def _ended(self, ticket: tuple[str, int], read: "asyncio.Task[KnownCredential | None]") -> None:
        del self._reads[ticket]
        if not read.cancelled():
            read.exception()  # whoever waits gets it; when nobody does any more, it is not worth a warning
