"""One of several processes that spend one budget at once: `python -m tests.support.admission_crowd URL MODE SEED STREAMS REQUESTS`.

Each stream makes requests one after the other, as extauth and extproc would: admit, top up while tokens come, settle. Prints one line of
JSON: what was demanded, admitted and spent, and how far each request went beyond what it held.
"""

import asyncio
import json
import random
import secrets
import sys
from dataclasses import dataclass, field

from ratelimit import store_valkey
from ratelimit.ports import Admission, Held, Limit, Period, Reservation, StoreUnavailable, TokenHold, Unit

ORG = "crowd"
STEP, PIPELINE = 64, 8
"""Tokens of one top-up; tokens that still come when a top-up is refused."""
MEAN_TOKENS = 360
CLAIM_TTL_MS = 600_000


def budget(capacity: int) -> Limit:
    return Limit("monthly budget", "org", 0, 1, capacity, Unit.TOKENS, Period.MONTH)


@dataclass
class Request:
    """What a client asks for, and what the engine would answer."""

    prompt_most: int
    prompt_guess: int
    prompt: int
    cap: int
    output: int
    streamed: bool

    @classmethod
    def draw(cls, rnd: random.Random) -> "Request":
        prompt = rnd.randint(20, 300)
        return cls(2 * prompt, int(prompt * rnd.uniform(0.8, 1.4)), prompt, 2_000, min(2_000, int(rnd.expovariate(1 / 200))), rnd.random() < 0.7)

    def hold(self, mode: str) -> TokenHold:
        if mode == "strict":
            return TokenHold(self.prompt_most + self.cap, at_least=self.prompt_most + 16)
        full = TokenHold(self.prompt_guess + self.cap)
        if mode == "balanced":
            return TokenHold(full.full, 10, self.prompt_guess + STEP) if self.streamed else full
        return TokenHold(self.prompt_guess + 200)


@dataclass
class Totals:
    demanded: int = 0
    admitted: int = 0
    refused: int = 0
    spent: int = 0
    prompts_beyond: list[int] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)


async def run(url: str, mode: str, seed: int, streams: int, requests: int, capacity: int) -> Totals:
    rnd, totals = random.Random(seed), Totals()
    store = store_valkey.connect(url, 60_000, CLAIM_TTL_MS)
    limit = budget(capacity)

    async def stream() -> None:
        for _ in range(requests):
            request = Request.draw(rnd)
            totals.demanded += request.prompt + request.output
            admission = Admission(ORG, secrets.randbits(80), (limit,), b"", tokens=request.hold(mode), user_id="u", key_id=f"k{seed}")
            (decision,) = await store.admit([admission])
            if decision.reservation_id is None:
                totals.refused += 1
                continue
            totals.admitted += 1
            reservation = Reservation(ORG, "u", f"k{seed}", decision.reservation_id)
            used, held = await answer(store, mode, request, reservation, decision.held_tokens)
            totals.spent += used
            totals.beyond.append(max(0, used - held))
            totals.prompts_beyond.append(max(0, request.prompt - request.prompt_guess))
            await settled(store, reservation, used)

    await asyncio.gather(*(stream() for _ in range(streams)))
    await store.aclose()
    return totals


async def answer(store: store_valkey.ValkeyAdmissionStore, mode: str, request: Request, reservation: Reservation, held: int) -> tuple[int, int]:
    """Let the engine speak; return the tokens used and held in the end."""
    if mode == "strict":  # the cap is written: the engine gives no more
        return request.prompt + min(request.output, held - request.prompt_most), held
    if mode == "lenient" or not request.streamed:
        await asyncio.sleep(0)
        return request.prompt + request.output, held
    used = request.prompt
    for token in range(request.output):
        used += 1
        if used > held:
            if await store.top_up(reservation, STEP) is Held.OVER:
                return used + min(PIPELINE, request.output - token - 1), held
            held += STEP
        if token % STEP == 0:
            await asyncio.sleep(0)
    return used, held


async def settled(store: store_valkey.ValkeyAdmissionStore, reservation: Reservation, used: int) -> None:
    while True:
        try:
            return await store.settle([(reservation, used)])
        except StoreUnavailable:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    url, mode = sys.argv[1:3]
    print(json.dumps(asyncio.run(run(url, mode, *(int(n) for n in sys.argv[3:]))).__dict__))
