"""The buckets of the Rate Limit Service in this process: the rule of `lua/hit.lua`, and the service's own share while the store is away. Pure.

All N replicas together let pass at most the limit, and once more what had been taken of it when the store went. Levels are kept when it is
back, so that one which comes and goes does not give the share anew each time; they drain by themselves.
"""

from dataclasses import dataclass

from ratelimit import layout
from ratelimit.bucket import NEVER, STREAM_RETRY_MS, Level, part_of
from ratelimit.expiring import Expiring
from ratelimit.hits import ASKED_MS, HitRequest, Hits
from ratelimit.ports import Limit, LimitState


@dataclass(slots=True)
class _Step:
    """One descriptor of a request. `part`: this process' share of the limit."""

    hits: Hits
    key: str
    part: Limit
    is_owed: bool
    retry_ms: int = 0


class LocalHits:
    """Time comes in with every call, in ms of a clock that never goes back."""

    def __init__(self) -> None:
        self._levels: Expiring[Level] = Expiring()
        self._asked: Expiring[bool] = Expiring()

    def take(self, request: HitRequest, replicas: int, now_ms: int) -> tuple[LimitState, ...]:
        """Decide one request by the share of one of `replicas`; by the whole limits if there is only one."""
        steps = [self._step(request.domain, hits, replicas, now_ms) for hits in request.hits]
        for step in steps:
            if step.is_owed:
                self._add(step, step.hits.count, now_ms)
        for step in steps:
            if not step.is_owed:
                self._try(step, now_ms)
        if any(step.retry_ms and not step.part.dry_run for step in steps):
            for step in steps:
                if not step.is_owed and not step.retry_ms:
                    self._add(step, -step.hits.count, now_ms)
        return tuple(self._state(step, now_ms) for step in steps)

    def _step(self, domain: str, hits: Hits, replicas: int, now_ms: int) -> _Step:
        key = layout.bucket(domain, hits.limit)
        is_owed = hits.count < 0 or (hits.count > 0 and hits.on_its_own and self._asked.get(key, now_ms) is not None)
        return _Step(hits, key, part_of(hits.limit, replicas), is_owed)

    def _try(self, step: _Step, now_ms: int) -> None:
        """Charge if it fits, else say when to try again."""
        count = step.hits.count
        if count == 0:
            self._asked.put(step.key, True, now_ms + ASKED_MS, now_ms)
        level, wanted = self._level(step, now_ms), max(1, count)
        if wanted <= level.free(step.part):
            self._add(step, count, now_ms)
        elif wanted <= step.part.capacity:
            step.retry_ms = level.retry_ms(step.part, wanted, now_ms)
        else:  # too large for the share only: the store may be back
            step.retry_ms = NEVER if wanted > step.hits.limit.capacity else STREAM_RETRY_MS

    def _level(self, step: _Step, now_ms: int) -> Level:
        return (self._levels.get(step.key, now_ms) or Level(0, now_ms)).drain(step.part.refill, now_ms)

    def _add(self, step: _Step, count: int, now_ms: int) -> None:
        level = self._level(step, now_ms).add(count, 0, step.part.period_ms)
        if level.w:
            self._levels.put(step.key, level, now_ms + level.ms_to_full(step.part, now_ms), now_ms)
        else:
            self._levels.drop(step.key)

    def _state(self, step: _Step, now_ms: int) -> LimitState:
        level = self._level(step, now_ms)
        return LimitState(step.hits.limit, level.free(step.part), level.ms_to_full(step.part, now_ms), step.retry_ms)
