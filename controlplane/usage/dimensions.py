"""By what usage can be told apart, and how its sums become the answer: error rates and latencies. Pure."""

from collections.abc import Sequence
from enum import StrEnum

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


def quantile_ms(counts: Sequence[int], bounds: Sequence[int], share: float) -> int | None:
    """Estimate how long `share` of the requests took at most, by a histogram with these upper bounds; None without requests.

    Within a bucket durations count as evenly spread. What took longer than the last bound is told as that bound.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below, lower = share * total, 0, 0
    for count, upper in zip(counts, bounds, strict=False):
        if count and below + count >= rank:
            return round(lower + (upper - lower) * max(0.0, rank - below) / count)
        below, lower = below + count, upper
    return bounds[-1]
