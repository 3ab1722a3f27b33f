"""Does a server on the wire stay as it is? Half load for MINUTES (10): resident memory, descriptors, errors.

Capacity is measured first; then half of it is offered at a steady rate: unary calls with a traceparent of their own, on connections of
which one is replaced every second, and streams that are cut in the middle.

Memory is no line at first. In a trace of five minutes it rose by 1.5 MiB in the first minute, in another by 3 MiB, as caches fill and the
allocator spreads; and it rose once by 4 MiB in one step, when the machine had stalled for some tenths of a second and all calls came at
once: the allocator keeps what the largest burst so far has taken. Before and after these it did not move. So a warm-up offers bursts of
`BURST_S`, nothing later comes in larger ones, then the load as it will be; and only what follows is judged, by the medians of ten
windows, so that a busy moment of the machine does not count as growth. Fails when memory grows by more than ALLOWED_KIB_PER_MIN beyond
doubt (95 %), when descriptors are left over, or when anything goes wrong.
"""

import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter

from benchmarks.measuring import Worker, descriptors, result, rss_kib, worker

MINUTES = float(os.environ.get("MINUTES", "10"))
SLICE_S = 2.0
BURST_S = 0.25
BURSTS_FOR_S = 30.0
WARM_UP_S = 90.0
"""Of the steady load, behind the bursts."""
ALLOWED_KIB_PER_MIN = 20
"""28 MiB a day."""
WINDOWS = 10
_T95 = 2.306
"""Student's t for `WINDOWS` - 2 degrees of freedom, two-sided 95 %."""


def growth_per_min(points: list[tuple[float, int]]) -> tuple[float, float]:
    """Growth of (seconds, KiB) in KiB a minute, and how far it may be off: least squares over the medians of windows."""
    size = len(points) // WINDOWS
    windows = [points[size * number : size * (number + 1)] for number in range(WINDOWS)]
    at = [statistics.fmean(at for at, _ in window) / 60 for window in windows]
    kib = [statistics.median(kib for _, kib in window) for window in windows]
    slope, start = statistics.linear_regression(at, kib)
    off = sum((y - start - slope * x) ** 2 for x, y in zip(at, kib, strict=True))
    spread = sum((x - statistics.fmean(at)) ** 2 for x in at)
    return slope, _T95 * math.sqrt(off / (WINDOWS - 2) / spread)


class Load:
    """What is offered, and what came of it."""

    def __init__(self, churn: Worker, rate: float) -> None:
        self._churn, self._rate = churn, rate
        self.did: Counter[str] = Counter()
        self.errors: list[str] = []

    def offer(self, **how: float) -> None:
        did = self._churn.ask(rate=self._rate, most_at_once=int(self._rate * BURST_S), **how)
        self.errors += did.pop("errors")
        self.did.update(did)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ias") as folder, worker("benchmarks.echo_server", "wire", f"unix:{folder}/echo") as server:
        before = descriptors(server.pid)
        rate = capacity(server) / 2
        print(f"{rate:,.0f} calls/s, half of what it can, for {MINUTES:g} minutes", flush=True)
        points: list[tuple[float, int]] = []
        with worker("benchmarks.churn", server.hello["address"]) as churn:
            cold = rss_kib(server.pid)
            load = Load(churn, rate)
            load.offer(seconds=BURSTS_FOR_S, turn_s=BURST_S)
            burst = rss_kib(server.pid)
            load.offer(seconds=WARM_UP_S)
            print(f"warm-up: {cold:,} KiB at first, {burst:,} after bursts, {rss_kib(server.pid):,} after {WARM_UP_S:g} s of steady load", flush=True)
            load.did.clear()
            began = time.monotonic()
            while (at := time.monotonic() - began) < MINUTES * 60:
                load.offer(seconds=SLICE_S)
                points.append((at, rss_kib(server.pid)))
                if len(points) % 15 == 0:
                    print(
                        f"{at / 60:5.1f} min  {points[-1][1]:,} KiB  {descriptors(server.pid)} descriptors  {load.did['calls']:,} calls", flush=True
                    )
        left = left_over(server, before)
    slope, off = growth_per_min(points)
    did, errors = load.did, load.errors
    print(f"{did['calls']:,} calls, {did['left_out']:,} left out, {did['cancelled']:,} streams cut; {len(errors)} errors {errors[:3]}")
    print(f"{left} descriptors left over; memory grows by {slope:+.1f} KiB a minute, ± {off:.1f}")
    result(
        minutes=MINUTES,
        calls=did["calls"],
        cancelled=did["cancelled"],
        left_out=did["left_out"],
        errors=len(errors),
        rss_kib_per_min=round(slope, 1),
        rss_kib_per_min_off=round(off, 1),
        descriptors_left=left,
    )
    return 1 if errors or left > 0 or slope - off > ALLOWED_KIB_PER_MIN else 0


def capacity(server: Worker) -> float:
    """Calls that it answers in a second."""
    with worker("benchmarks.h2_load", server.hello["address"]) as client:
        did = client.ask(in_flight=32, seconds=2.0, unary=True, size=1024, messages=1, traced=True)
    rate: float = did["calls"] / did["seconds"]
    return rate


def left_over(server: Worker, before: int) -> int:
    """Descriptors that are still open when all clients have gone, and some time after."""
    end = time.monotonic() + 20
    while (left := descriptors(server.pid) - before) > 0 and time.monotonic() < end:
        time.sleep(0.1)
    return left


if __name__ == "__main__":
    sys.exit(main())
