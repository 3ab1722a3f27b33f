"""Requests that hold and spend tokens of budgets in a real admission store, as extauth and extproc make them."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from controlplane.ids import new_id
from ratelimit.ports import Admission, BudgetKey, BudgetState, Decision, Limit, Period, Reservation, TokenHold, Unit
from ratelimit.store_valkey import ValkeyAdmissionStore


@dataclass(frozen=True)
class Spender:
    """One org's traffic, with a budget that nothing exceeds."""

    store: ValkeyAdmissionStore
    org_id: UUID
    scope: str = "org"

    async def ask(self, tokens: int) -> Decision:
        """Ask for a request's admission."""
        limit = Limit("budget", self.scope, refill=0, period_ms=1, capacity=10**12, unit=Unit.TOKENS, calendar=Period.MONTH)
        ids = {"user_id": str(new_id()), "key_id": str(new_id())}
        (decision,) = await self.store.admit([Admission(str(self.org_id), secrets.randbits(80), (limit,), b"", tokens=TokenHold(tokens), **ids)])
        return decision

    async def hold(self, tokens: int, base: int = 0) -> Reservation:
        """Admit a request; a counter that is not known yet begins with `base`."""
        while (decision := await self.ask(tokens)).reservation_id is None:
            assert decision.unseeded, "nothing exceeds the budget"
            for unseeded in decision.unseeded:
                await self.store.seed(unseeded.budget, unseeded.since_ms, base)
        return Reservation(str(self.org_id), "", "", decision.reservation_id)

    async def spend(self, tokens: int, base: int = 0) -> Reservation:
        """Admit a request and settle it."""
        reservation = await self.hold(tokens, base)
        await self.store.settle([(reservation, tokens)])
        return reservation

    async def counter(self, key: BudgetKey) -> BudgetState:
        """The budget's counter."""
        (state,) = await self.store.budgets([key])
        assert state is not None
        return state
