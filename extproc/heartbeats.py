"""Keeps the holds of live requests alive in the admission store, grows them, and tells what of them is used. No stream waits for a heartbeat.

The first one marks a reservation as claimed, and claimed is only what survives a power failure: until its record is on disk the store
keeps the request for a reaper to find (docs/decisions/0004).
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extproc.ports import Spool
from ias.context import RequestContext
from ratelimit.ports import AdmissionStore, Held, Reservation, StoreUnavailable

_BATCH = 1_000
_AT_ONCE = 100
_BEATS_IN_TTL = 3


@dataclass(slots=True)
class Live:
    """A request that runs."""

    reservation: Reservation
    held: int
    used: Callable[[], int]
    due_ms: float


class Heartbeats:
    """A beat for each live request every `ttl_ms` / 3, in batches. `clock_ms` is monotonic."""

    def __init__(self, store: AdmissionStore, spool: Spool, clock_ms: Callable[[], float], ttl_ms: int = 60_000) -> None:
        self._store, self._spool, self._clock_ms, self._ttl_ms = store, spool, clock_ms, ttl_ms
        self._live: dict[str, Live] = {}
        """In order of `due_ms`."""
        self._hurried: dict[str, None] = {}

    def begin(self, context: RequestContext, used: Callable[[], int]) -> None:
        reservation = Reservation(context.org_id, context.user_id, context.key_id, context.reservation_id, context.in_store)
        self._live[context.reservation_id] = Live(reservation, context.held_tokens, used, self._next())
        self._hurried[context.reservation_id] = None

    def end(self, reservation_id: str) -> None:
        self._live.pop(reservation_id, None)
        self._hurried.pop(reservation_id, None)

    async def top_up(self, context: RequestContext, tokens: int) -> Held | None:
        live = self._live.get(context.reservation_id)
        if live is None:
            return Held.OVER
        try:
            answer = await self._store.top_up(live.reservation, tokens)
        except StoreUnavailable:
            return None
        if answer is not Held.OVER:
            live.held += tokens
            self._spool.grow(context.reservation_id, live.held)
        if answer is Held.UNKNOWN:
            self.hurry(context.reservation_id)  # all of it is held again
        return answer

    def hurry(self, reservation_id: str) -> bool:
        """Beat for a request at the next turn, because the store believes it gone; False when it is not alive here."""
        if reservation_id not in self._live:
            return False
        self._hurried[reservation_id] = None
        return True

    def due(self) -> list[Live]:
        """Those to beat for now: new ones and hurried ones, and those whose time has come. What is new meanwhile waits for the next turn."""
        now_ms = self._clock_ms()
        hurried = [self._live[reservation_id] for reservation_id in self._hurried]
        in_time = itertools.takewhile(lambda live: live.due_ms <= now_ms, self._live.values())
        return hurried + [live for live in in_time if live.reservation.reservation_id not in self._hurried]

    async def beat(self, due: Sequence[Live]) -> None:
        """Beat for those that are still alive, whose records are on disk already; raise StoreUnavailable, and do the rest at the next turn."""
        for start in range(0, len(due), _BATCH):
            batch = [live for live in due[start : start + _BATCH] if live.reservation.reservation_id in self._live]
            if not batch:
                continue
            used = {live.reservation.reservation_id: live.used() for live in batch}
            answers = await self._store.extend([live.reservation for live in batch], self._ttl_ms, used)
            forgotten = [live for live, answer in zip(batch, answers, strict=True) if answer is Held.UNKNOWN]
            await self._hold_again(forgotten)
            for live in batch:
                self._beaten(live)

    async def _hold_again(self, forgotten: Sequence[Live]) -> None:
        for start in range(0, len(forgotten), _AT_ONCE):
            # One that ended meanwhile must not be held: nobody would settle it any more.
            alive = [live for live in forgotten[start : start + _AT_ONCE] if live.reservation.reservation_id in self._live]
            await asyncio.gather(*(self._store.hold_again(live.reservation, live.held, self._ttl_ms) for live in alive))

    def _beaten(self, live: Live) -> None:
        reservation_id = live.reservation.reservation_id
        self._hurried.pop(reservation_id, None)
        if self._live.pop(reservation_id, None) is not None:
            live.due_ms = self._next()
            self._live[reservation_id] = live

    def _next(self) -> float:
        return self._clock_ms() + self._ttl_ms / _BEATS_IN_TTL
