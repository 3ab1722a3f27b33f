"""The admission store in memory as extproc's tests need it: its time is set, it can be away, and what it was asked is kept."""

from collections.abc import Mapping, Sequence

import msgspec

from ias import context
from ias.context import RequestContext
from ratelimit.memory_state import budget_key
from ratelimit.ports import Admission, Held, Limit, Period, Reservation, Sample, StoreUnavailable, Swept, TokenHold, Unit
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.ext_proc import NOW_MS, some_context

BUDGET = 1_000
_BUDGET = Limit("budget of the org", "org", 0, 1, BUDGET, Unit.TOKENS, Period.MONTH)


class ToldStore(MemoryAdmissionStore):
    """One org with a budget of `BUDGET` tokens a month."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        super().__init__(lambda: self.now_ms)
        self.away = False
        self.extended: list[list[str]] = []
        self.used: list[Mapping[str, int] | None] = []
        self.settled: list[dict[str, int]] = []
        self.held_again: dict[str, int] = {}
        self.samples: dict[str, Sample] = {}

    async def admitted(self, number: int = 0, held: int = 100, **changes: object) -> RequestContext:
        """Admit a request as extauth does."""
        asked = some_context(number, **{"reservation_id": "", "prompt_tokens": 10, **changes})
        tokens, claim = TokenHold(held), context.encode(asked)
        admission = Admission(asked.org_id, number, (_BUDGET,), claim, tokens=tokens, user_id=asked.user_id, key_id=asked.key_id)
        (decision,) = await self.admit([admission])
        while decision.unseeded:
            for unseeded in decision.unseeded:
                await self.seed(unseeded.budget, unseeded.since_ms, 0)
            (decision,) = await self.admit([admission])
        assert decision.reservation_id is not None
        return msgspec.structs.replace(asked, reservation_id=decision.reservation_id, held_tokens=held)

    async def budget(self) -> tuple[int, int]:
        """Tokens (spent, held) of the org's budget."""
        (state,) = await self.budgets([budget_key(some_context().org_id, "org", Period.MONTH, NOW_MS)])
        assert state is not None
        return (state.base or 0) + state.own, state.held

    async def extend(self, reservations: Sequence[Reservation], ttl_ms: int, used: Mapping[str, int] | None = None) -> list[Held]:
        self._answer()
        self.extended.append([reservation.reservation_id for reservation in reservations])
        self.used.append(used)
        return await super().extend(reservations, ttl_ms, used)

    async def top_up(self, reservation: Reservation, tokens: int) -> Held:
        self._answer()
        return await super().top_up(reservation, tokens)

    async def hold_again(self, reservation: Reservation, tokens: int, ttl_ms: int) -> None:
        self._answer()
        self.held_again[reservation.reservation_id] = tokens
        await super().hold_again(reservation, tokens, ttl_ms)

    async def settle(self, settlements: Sequence[tuple[Reservation, int]], samples: Mapping[str, Sample] | None = None) -> None:
        self._answer()
        self.settled.append({reservation.reservation_id: tokens for reservation, tokens in settlements})
        self.samples |= samples or {}
        await super().settle(settlements, samples)

    async def sweep(self, limit: int = 1_000) -> list[Swept]:
        self._answer()
        return await super().sweep(limit)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
