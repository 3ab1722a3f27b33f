"""The buckets of the Rate Limit Service in this process: the rule of `lua/hit.lua`, and the service's own share while the store is away. Pure.

All N replicas together let pass at most the limit, and once more what had been taken of it when the store went. Levels are kept when it is
back, so that one which comes and goes does not give the share anew each time; they drain by themselves.
"""

from collections.abc import Sequence

from ratelimit import layout
from ratelimit.bucket import NEVER, STREAM_RETRY_MS, Level, part_of
from ratelimit.expiring import Expiring
from ratelimit.ports import ASKED_MS, HitRequest, Hits, Limit, LimitState


class LocalHits:
    """Time comes in with every call, in ms of a clock that never goes back."""

    def __init__(self) -> None:
        self._levels: Expiring[Level] = Expiring()
        self._asked: Expiring[bool] = Expiring()

    def take(self, request: HitRequest, replicas: int, now_ms: int) -> tuple[LimitState, ...]:
        """Decide one request by the share of one of `replicas`; by the whole limits if there is only one."""
        taken: list[tuple[str, Limit, int]] = []
        retries: list[int] = []
        refused = False
        for hits in request.hits:
            key, limit, wanted = layout.bucket(request.domain, hits.limit), part_of(hits.limit, replicas), max(1, hits.count)
            level = self._level(key, limit, now_ms)
            retry_ms = 0
            if self._is_owed(key, hits, now_ms):
                self._add(key, limit, hits.count, now_ms)
            elif wanted > level.free(limit):
                retry_ms = _retry_ms(hits.limit, limit, level, wanted, now_ms)
                refused = refused or not limit.dry_run
            elif hits.count:
                self._add(key, limit, hits.count, now_ms)
                taken.append((key, limit, hits.count))
            if hits.count == 0:
                self._asked.put(key, True, now_ms + ASKED_MS, now_ms)
            retries.append(retry_ms)
        if refused:
            for key, limit, count in taken:
                self._add(key, limit, -count, now_ms)
        return self._states(request, retries, replicas, now_ms)

    def _is_owed(self, key: str, hits: Hits, now_ms: int) -> bool:
        return hits.count < 0 or (hits.count > 0 and hits.on_its_own and self._asked.get(key, now_ms) is not None)

    def _level(self, key: str, limit: Limit, now_ms: int) -> Level:
        return (self._levels.get(key, now_ms) or Level(0, now_ms)).drain(limit.refill, now_ms)

    def _add(self, key: str, limit: Limit, count: int, now_ms: int) -> None:
        level = self._level(key, limit, now_ms).add(count, 0, limit.period_ms)
        if level.w:
            self._levels.put(key, level, now_ms + level.ms_to_full(limit, now_ms), now_ms)
        else:
            self._levels.drop(key)

    def _states(self, request: HitRequest, retries: Sequence[int], replicas: int, now_ms: int) -> tuple[LimitState, ...]:
        states = []
        for hits, retry_ms in zip(request.hits, retries, strict=True):
            part = part_of(hits.limit, replicas)
            level = self._level(layout.bucket(request.domain, hits.limit), part, now_ms)
            states.append(LimitState(hits.limit, level.free(part), level.ms_to_full(part, now_ms), retry_ms))
        return tuple(states)


def _retry_ms(limit: Limit, part: Limit, level: Level, wanted: int, now_ms: int) -> int:
    if wanted <= part.capacity:
        return level.retry_ms(part, wanted, now_ms)
    return NEVER if wanted > limit.capacity else STREAM_RETRY_MS  # too large for the share, not for the limit: the store may be back
