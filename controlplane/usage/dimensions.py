"""By what usage can be told apart, and how its sums become the answer: error rates and latencies. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate

from ias.usage_event import Outcome

ERRORS = (Outcome.UPSTREAM_ERROR, Outcome.LOST)
"""What an engine or we failed to bring to its end; who hangs up before it makes no error."""


class Dimension(StrEnum):
    """What every rollup keeps apart."""

    ORG = "org"
    USER = "user"
    KEY = "key"
    PUBLICATION = "publication"
    MODEL = "model"
    ENDPOINT = "endpoint"
    OUTCOME = "outcome"

    @property
    def column(self) -> str:
        """Its column in the ledger and in the rollups."""
        return f"{self}_id" if self in {Dimension.ORG, Dimension.USER, Dimension.KEY, Dimension.PUBLICATION} else str(self)


def quantiles_ms(counts: Sequence[int], bounds: Sequence[int], shares: Sequence[float]) -> list[int | None]:
    """Estimate for each share how long that part of the requests took at most, by a histogram with these upper bounds; None without requests.

    Within a bucket durations count as evenly spread. What took longer than the last bound is told as that bound.
    """
    up_to = list(accumulate(counts))
    if up_to[-1] <= 0:
        return [None] * len(shares)
    found: list[int | None] = []
    for share in shares:
        rank = share * up_to[-1]
        place = bisect_left(up_to, rank)
        if place == len(bounds):
            found.append(bounds[-1])
            continue
        lower, below = (bounds[place - 1], up_to[place - 1]) if place else (0, 0)
        found.append(round(lower + (bounds[place] - lower) * (rank - below) / counts[place]))
    return found
