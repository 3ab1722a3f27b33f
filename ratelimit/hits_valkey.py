"""The buckets of the Rate Limit Service on Valkey: one round trip for a batch, in it one script call for all requests of a domain.

A charge is never tried again: it would be charged twice. One that a frozen server runs after waking does nothing (`not_after`).
"""

from collections.abc import Callable, Iterator, Sequence

from ratelimit import layout
from ratelimit.hits import HitRequest
from ratelimit.ports import LimitState
from ratelimit.resp import Address
from ratelimit.script_runner import Call, ScriptRunner
from ratelimit.scripts import HIT_SCRIPTS
from ratelimit.server_clock import ServerClock

_HITS_AT_ONCE = 500
"""A script call of this many takes about two milliseconds, in which nobody else is served."""


def connect(url: str, deadline_ms: int = 20, loop_was_late: Callable[[float], None] = lambda _: None) -> "ValkeyHitStore":
    """Make the store for a `redis://`, `rediss://` or `unix://` URL (else ValueError); connects at the first call."""
    return ValkeyHitStore(ScriptRunner(Address.parse(url), HIT_SCRIPTS, ServerClock(), deadline_ms, loop_was_late))


class ValkeyHitStore:
    """`runner` knows the script `hit`."""

    def __init__(self, runner: ScriptRunner) -> None:
        self._runner = runner

    async def aclose(self) -> None:
        await self._runner.aclose()

    async def take(self, requests: Sequence[HitRequest]) -> list[tuple[LimitState, ...]]:
        portions = list(_portions(requests))
        replies = await self._runner.run([_call(portion) for portion in portions])
        taken: dict[int, tuple[LimitState, ...]] = {}
        for portion, reply in zip(portions, replies, strict=True):
            numbers = iter(reply[1:])
            for index, request in portion:
                taken[index] = tuple(LimitState(hits.limit, next(numbers), next(numbers), next(numbers)) for hits in request.hits)
        return [taken[index] for index in range(len(requests))]


_Portion = list[tuple[int, HitRequest]]


def _portions(requests: Sequence[HitRequest]) -> Iterator[_Portion]:
    """Requests of one domain with their places in the batch, in order, not too many for one script call."""
    open_portions: dict[str, tuple[_Portion, int]] = {}
    for index, request in enumerate(requests):
        portion, size = open_portions.get(request.domain, ([], 0))
        if portion and size + len(request.hits) > _HITS_AT_ONCE:
            yield portion
            portion, size = [], 0
        portion.append((index, request))
        open_portions[request.domain] = (portion, size + len(request.hits))
    yield from (portion for portion, _ in open_portions.values())


def _call(portion: _Portion) -> Call:
    arguments: list[str | int | bytes] = []
    for _, request in portion:
        arguments.append(len(request.hits))
        for hits in request.hits:
            arguments += (layout.rule(hits.limit), f"+{hits.count}" if hits.on_its_own and hits.count > 0 else hits.count)
    return ("hit", portion[0][1].domain, tuple(arguments))
