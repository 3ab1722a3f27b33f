"""The buckets of the Rate Limit Service: what a request takes of them, and the port of the store that keeps them (docs/ratelimit.md)."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ratelimit.ports import Limit, LimitState


class Hits(msgspec.Struct, frozen=True):
    """What a request to the Rate Limit Service takes of one bucket.

    * A positive `count` is charged if it fits.
    * 0 only asks: it passes if one more would fit, so that a limit of 0 and one in debt let nothing pass. What comes `on_its_own` within
      `ASKED_MS` after a question is what the question was for and is known only now: it is charged whatever is left, and may leave a debt.
    * A negative one is given back, never beyond an empty bucket.
    """

    limit: Limit
    """Of unit REQUESTS or TOKENS, without a calendar."""
    count: int
    on_its_own: bool = False
    """The descriptor brought its count by itself, as costs that are known at the end of a stream do."""


class HitRequest(msgspec.Struct, frozen=True):
    """One request to the Rate Limit Service: charged in every bucket, or in none. What is given back, or owed after a question, is so in any case."""

    domain: str
    """Buckets of different domains have nothing in common."""
    hits: tuple[Hits, ...]


ASKED_MS = 3_600_000
"""Longer than requests last."""


class HitStore(Protocol):
    """The buckets of the Rate Limit Service."""

    async def take(self, requests: Sequence[HitRequest]) -> list[tuple[LimitState, ...]]:
        """Decide a batch in one round trip, in its order; a request passes if no state but those of a dry run has a `retry_ms`.

        Raises StoreUnavailable for the whole batch: whether anything was charged is not known then.
        """
