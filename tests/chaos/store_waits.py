"""How long requests waited for Valkey, as extauth measures it: the bound of 20 ms is checked without tolerance.

A wait is longer than the bound only if extauth's own event loop was late to notice that the time was over, because the machine or another
request kept it busy. It measures that apart, so each wait above the bound needs a deadline that was noticed late; what is left is wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2

BOUND_S = 0.02
LATE_S = 0.001
"""Nothing is given up later than 18 ms after it was asked, by an event loop that is not late by more than this (`ratelimit/resp.py`)."""

Buckets = tuple[tuple[float, int], ...]
"""Upper bounds in seconds, and how many were at most that."""


@dataclass(frozen=True)
class Waits:
    """Waits for Valkey, and how late deadlines were noticed."""

    waits: Buckets = ()
    late: Buckets = ()

    def since(self, before: "Waits") -> "Waits":
        """What came after `before`; all of it if extauth was started in between."""
        return Waits(_less(self.waits, before.waits), _less(self.late, before.late))

    @property
    def count(self) -> int:
        return _count(self.waits)

    @property
    def longest_s(self) -> float:
        """A bound of the longest."""
        return _longest(self.waits)

    @property
    def above(self) -> int:
        """How many waited longer than the bound."""
        return _above(self.waits, BOUND_S)

    @property
    def noticed_late(self) -> int:
        """How many deadlines our own loop noticed late."""
        return _above(self.late, LATE_S)

    @property
    def unexplained(self) -> int:
        """How many waited longer for nothing but Valkey."""
        return max(0, self.above - self.noticed_late)


def read(metrics_url: str) -> Waits:
    """Read extauth's histograms; empty while it is down."""
    try:
        text = httpx2.get(metrics_url, timeout=5).text
    except httpx2.HTTPError:
        return Waits()
    return Waits(_buckets(text, "ias_store_wait_seconds"), _buckets(text, "ias_store_deadline_late_seconds"))


def table(windows: Sequence[tuple[str, Waits]]) -> str:
    """Lay them out for people, a line for each window of time."""
    head = f"{'waits for Valkey from':<28}{'count':>7}{'longest ms':>12}{'> 20 ms':>9}   deadlines passed, noticed > 1 ms late, latest ms"
    lines = [
        f"{name:<28}{w.count:>7}{_ms(w.longest_s):>12}{w.above:>9}   {_count(w.late)}, {w.noticed_late}, {_ms(_longest(w.late))}"
        for name, w in windows
    ]
    return "\n".join([head, *lines])


def _buckets(text: str, name: str) -> Buckets:
    found = re.findall(rf'^{name}_bucket\{{le="([^"]+)"\}} (\S+)$', text, re.MULTILINE)
    return tuple((float(bound.replace("+Inf", "inf")), round(float(count))) for bound, count in found)


def _less(after: Buckets, before: Buckets) -> Buckets:
    if not before or _count(after) < _count(before):
        return after
    return tuple((bound, count - gone) for (bound, count), (_, gone) in zip(after, before, strict=True))


def _count(buckets: Buckets) -> int:
    return buckets[-1][1] if buckets else 0


def _above(buckets: Buckets, bound_s: float) -> int:
    return _count(buckets) - next((count for bound, count in buckets if bound >= bound_s), 0)


def _longest(buckets: Buckets) -> float:
    total = _count(buckets)
    return next((bound for bound, count in buckets if count == total), 0.0) if total else 0.0


def _ms(seconds: float) -> str:
    return f"<= {seconds * 1000:g}" if seconds else "-"
