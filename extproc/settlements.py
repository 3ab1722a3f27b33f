"""Charges the admission store for what has ended, a batch at a time. Neither a stream nor an event waits for it."""

from collections.abc import Sequence

from extproc.ports import Spool
from ias.spool_format import Owed
from ratelimit.ports import MAX_TOKENS, AdmissionStore, Reservation, Sample

_BATCH = 1_000


class Settlements:
    """Works off what the spool says is owed; a restart finds it there again."""

    def __init__(self, store: AdmissionStore, spool: Spool) -> None:
        self._store, self._spool = store, spool

    def due(self) -> list[Owed]:
        """All that is owed now. What comes to be owed meanwhile waits for the next turn: to follow it would be a call for each handful."""
        return list(self._spool.owed.values())

    async def settle(self, due: Sequence[Owed]) -> None:
        """Settle what is on disk already; raise StoreUnavailable, and keep the rest.

        Only what survives a power failure may be settled, or the ledger would one day say less than the store.
        """
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            samples = {owed.reservation_id: _sample(owed) for owed in batch if owed.publication_id}
            await self._store.settle([(_reservation(owed), _total(owed)) for owed in batch], samples)
            self._spool.settled([owed.reservation_id for owed in batch])


def _reservation(owed: Owed) -> Reservation:
    return Reservation(owed.org_id, owed.user_id, owed.key_id, owed.reservation_id, owed.in_store)


def _total(owed: Owed) -> int:
    return min(owed.input_tokens + owed.output_tokens, MAX_TOKENS - 1)


def _sample(owed: Owed) -> Sample:
    return Sample(owed.publication_id, owed.prompt_bytes, owed.input_tokens, owed.output_tokens)
