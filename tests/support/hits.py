"""The Rate Limit Service in tests: requests as Envoy Gateway sends them, random histories of hits, and the exact model that is their oracle."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from protos.ratelimit_pb2 import RateLimitDescriptor, RateLimitRequest, RateLimitResponse
from ratelimit.hits import HitRequest, Hits
from ratelimit.ports import MAX_LEVEL, MAX_TOKENS, Limit, LimitState, Unit

DOMAIN = "gw/llm/http"
NEVER = -1
MINUTE = 2


def descriptor(tenant: str = "t1", limit: int | None = 7, hits: int | None = None, unit: int = MINUTE, back: bool = False) -> RateLimitDescriptor:
    """What a rule of a BackendTrafficPolicy becomes; `hits` 0: `cost.request` 0, a number: `cost.response`."""
    made = RateLimitDescriptor(is_negative_hits=back)
    made.entries.add(key="httproute/gw/r2/rule/0/match/0/*", value="httproute/gw/r2/rule/0/match/0/*")
    made.entries.add(key="rule-0-match-0", value=tenant)
    if limit is not None:
        made.limit.requests_per_unit = limit
        made.limit.unit = unit  # type: ignore[assignment]  # an enum is its number
    if hits is not None:
        made.hits_addend.value = hits
    return made


def message(*descriptors: RateLimitDescriptor, domain: str = DOMAIN, addend: int = 0) -> bytes:
    encoded: bytes = RateLimitRequest(domain=domain, descriptors=descriptors or (descriptor(),), hits_addend=addend).SerializeToString()
    return encoded


def code(answer: bytes) -> str:
    return RateLimitResponse.Code.Name(RateLimitResponse.FromString(answer).overall_code)


def headers(answer: bytes) -> dict[str, str]:
    return {header.key: header.value for header in RateLimitResponse.FromString(answer).response_headers_to_add}


@dataclass
class Model:
    """What the port promises, as plain as possible: levels are fractions of tokens. It shares no rule with the stores."""

    levels: dict[str, tuple[Fraction, int]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def level(self, limit: Limit, now: int) -> Fraction:
        level, t = self.levels.get(limit.bucket, (Fraction(0), now))
        return max(Fraction(0), level - Fraction(max(0, now - t) * limit.refill, limit.period_ms))

    def seen(self, limit: Limit, now: int) -> int:
        """The latest time that the bucket has seen; an empty one has forgotten it."""
        level, t = self.levels.get(limit.bucket, (Fraction(0), now))
        return max(now, t) if level else now

    def take(self, request: HitRequest, now: int) -> list[tuple[int, int, int]]:
        """Free, ms to full and retry ms of each descriptor."""
        owed = [hits.count < 0 or bool(hits.count and hits.on_its_own and hits.limit.bucket in self.asked) for hits in request.hits]
        for hits in (hits for hits, is_owed in zip(request.hits, owed, strict=True) if is_owed):
            self.set(hits.limit, max(Fraction(0), self.level(hits.limit, now) + hits.count), now)
        before, retries = dict(self.levels), []
        for hits, is_owed in zip(request.hits, owed, strict=True):
            limit, wanted = hits.limit, max(1, hits.count)
            level = self.level(limit, now)
            over = 0 if is_owed else level + wanted - limit.capacity
            if over > 0:
                wait = self.seen(limit, now) - now + math.ceil(over * limit.period_ms / limit.refill)
                retries.append(NEVER if wanted > limit.capacity else wait)
                continue
            retries.append(0)
            if not is_owed:
                self.set(limit, level + hits.count, now)
        self.asked |= {hits.limit.bucket for hits in request.hits if not hits.count}
        if any(retry and not hits.limit.dry_run for retry, hits in zip(retries, request.hits, strict=True)):
            self.levels = before
        return [self.state(hits.limit, now, retry) for hits, retry in zip(request.hits, retries, strict=True)]

    def set(self, limit: Limit, level: Fraction, now: int) -> None:
        self.levels[limit.bucket] = (level, self.seen(limit, now))
        if not level:
            del self.levels[limit.bucket]

    def state(self, limit: Limit, now: int, retry: int) -> tuple[int, int, int]:
        level = self.level(limit, now)
        to_full = self.seen(limit, now) - now + math.ceil(level * limit.period_ms / limit.refill) if level else 0
        return math.floor(limit.capacity - level), to_full, retry


LIMITS = (
    Limit("a", "a", 7, 60_000, 7),
    Limit("b", "b", 3, 1_000, 5),
    Limit("c", "c", 100, 60_000, 100, Unit.TOKENS),
    Limit("never", "d", 1, 60_000, 0),
    Limit("tried out", "e", 2, 60_000, 4, dry_run=True),
    Limit("a, lowered", "a", 7, 60_000, 5),
)
HISTORIES = range(60)
"""Seeds of the histories that the tests play."""
Take = Callable[[Sequence[HitRequest]], Awaitable[list[tuple[LimitState, ...]]]]


async def play(seed: int, take: Take, set_clock: Callable[[int], None], set_back: bool = True) -> dict[str, int]:
    """One random history: everything that is answered is what the model says. Returns how often what happened."""
    rnd, model, now = random.Random(seed), Model(), 1_700_000_000_000
    seen = dict.fromkeys(("passed", "refused", "debt", "owed", "back"), 0)
    for _ in range(40):
        now += rnd.choice((0, 1, 7, 333, 5_000)) if not set_back or rnd.random() < 0.9 else -rnd.randint(1, 50)
        set_clock(now)
        batch = [HitRequest("d", tuple(draw(rnd) for _ in range(rnd.randint(1, 4)))) for _ in range(rnd.randint(1, 5))]
        for request, states in zip(batch, await take(batch), strict=True):
            expected = model.take(request, now)
            assert [(state.free, state.ms_to_full, state.retry_ms) for state in states] == expected, (seed, request)
            assert [state.limit for state in states] == [hits.limit for hits in request.hits]
            passed = all(not state.retry_ms or state.limit.dry_run for state in states)
            seen["passed" if passed else "refused"] += 1
            seen["debt"] += any(state.free < 0 for state in states)
            seen["back"] += any(hits.count < 0 for hits in request.hits)
            seen["owed"] += any(state.free < 0 and not state.retry_ms for state in states)
    return seen


def draw(rnd: random.Random) -> Hits:
    limit = rnd.choice(LIMITS)
    return Hits(limit, rnd.choice((0, 1, 1, 2, 5, 41, -1, -60)), rnd.random() < 0.5)


async def debt_ends_where_numbers_end(take: Take) -> None:
    """No history goes there: at the end of exact numbers a store may be off by one."""
    one, *_ = LIMITS
    asks, charges = HitRequest("d", (Hits(one, 0, on_its_own=True),)), HitRequest("d", (Hits(one, MAX_TOKENS, on_its_own=True),))
    _, (state,), (again,) = await take([asks, charges, charges])
    assert state.free == again.free == (7 * 60_000 - (MAX_LEVEL - 1)) // 60_000
