"""`make chaos-kafka`: Kafka is away for minutes, and nobody notices.

Requests come at a steady rate through real Envoy. The broker is killed and, after a while, started again. No request may fail; the 99th
percentile of their times stays within `SLOWER` of what it was before (the median of ten-second windows is printed beside it: it tells whether
a moment or the whole time was slow). When Kafka is back, admitted = events in Kafka = ledger rows.
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2

from ias.usage_event import TOPIC
from tests.chaos import accounting, ground, load
from tests.chaos.accounting import Admissions
from tests.chaos.ground import Ground
from tests.chaos.load import Outcome, Wish
from tests.e2e.world import Tenant

ORGS = 4
SLOWER = 1.2
WINDOW_S = 10.0
WARM_UP_S = 10.0
"""Its requests count as all others, their times do not."""


@dataclass(frozen=True)
class Phase:
    """A part of the run; times on the clock of the outcomes."""

    name: str
    begin_s: float
    end_s: float

    def of(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        return [outcome for outcome in outcomes if self.begin_s <= outcome.at_s < self.end_s]


def wishes(models: Sequence[tuple[Tenant, str]], count: int) -> list[Wish]:
    """Short answers, one of four streamed."""
    made = []
    for number in range(count):
        tenant, model = models[number % len(models)]
        streams = number % 4 == 0
        kind = "streamed" if streams else "whole"
        made.append(Wish(model, tenant.api_key, kind, simulate=f"tokens={3 + 5 * streams},pace_ms=2", body={"stream": streams}))
    return made


def take_kafka_away(service: Ground, before_s: float, away_s: float, after_s: float) -> list[Phase]:
    """On the main thread, which the broker lives with."""
    assert service.kafka is not None
    began = time.monotonic()
    time.sleep(WARM_UP_S + before_s)
    killed = time.monotonic()
    service.kafka.kill()
    print(f"  {killed - began:5.1f} s  Kafka is away", flush=True)
    time.sleep(away_s)
    back = time.monotonic()
    print(f"  {back - began:5.1f} s  Kafka comes back, {spool_bytes(service) / 1e6:.1f} MB wait in the spool", flush=True)
    service.kafka.start(wait=False)
    return [Phase("before", began + WARM_UP_S, killed), Phase("away", killed, back), Phase("back", back, back + after_s)]


def spool_bytes(service: Ground) -> float:
    lines = httpx2.get(service.world.ready["metrics_urls"]["extproc"], timeout=30).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("ias_spool_lag_bytes "))


def p99_ms(outcomes: Sequence[Outcome]) -> float:
    return statistics.quantiles([outcome.seconds * 1000 for outcome in outcomes], n=100)[98]


def usual_p99_ms(outcomes: Sequence[Outcome], begin_s: float) -> float:
    """The median of what it is in windows of `WINDOW_S` seconds; of one that is not full, nothing."""
    windows: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        windows.setdefault(int((outcome.at_s - begin_s) / WINDOW_S), []).append(outcome)
    most = max(map(len, windows.values()))
    return statistics.median(p99_ms(window) for window in windows.values() if len(window) > most / 2)


def is_good(outcome: Outcome) -> bool:
    return outcome.status == 200 and outcome.ended


def judge(phases: Sequence[Phase], outcomes: Sequence[Outcome]) -> list[str]:
    """Print the times by phase and return what is wrong with them."""
    wrong = []
    before: dict[str, float] = {}
    for phase in phases:
        there = phase.of(outcomes)
        failures = Counter((outcome.status, outcome.code) for outcome in there if not is_good(outcome))
        times = []
        for kind in ("whole", "streamed"):
            mine = [outcome for outcome in there if outcome.kind == kind]
            p99 = p99_ms(mine)
            ratio = p99 / before.setdefault(kind, p99)
            median = statistics.median(outcome.seconds * 1000 for outcome in mine)
            times.append(f"{kind} p50 {median:.1f} ms, p99 {p99:.1f} ms ({ratio:.2f} x; usually {usual_p99_ms(mine, phase.begin_s):.1f})")
            if phase.name == "away" and ratio > SLOWER:
                wrong.append(f"{kind} requests were slower while Kafka was away: p99 {ratio:.2f} times that of before")
        print(f"{phase.name:<8}{len(there):>7} requests, {sum(failures.values())} failed; " + "; ".join(times))
        if failures:
            wrong.append(f"{phase.name}: requests failed: {dict(failures)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kafka_away", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="how long Kafka is away")
    parser.add_argument("--around", type=float, default=60, help="seconds before and after")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    arguments = parser.parse_args()
    total_s = WARM_UP_S + 2 * arguments.around + arguments.seconds
    with ground.running(with_kafka=True) as service:
        assert service.kafka is not None
        tenants = [service.world.tenant() for _ in range(ORGS)]
        models = [(tenant, service.publish(tenant)) for tenant in tenants]
        admissions = Admissions(service.world.ready["metrics_urls"]["extauth"])
        wanted = wishes(models, round(total_s * arguments.rate))
        print(f"{len(wanted)} requests in {total_s:g} s", flush=True)
        with load.beside(load.run(service.gateway, wanted, total_s)) as outcomes:
            phases = take_kafka_away(service, arguments.around, arguments.seconds, arguments.around)
        asked_s, admitted = time.monotonic(), admissions.count
        books = service.settled(tenants, admitted)
        settled_s = time.monotonic() - asked_s
        events = accounting.count_kafka_events(service.kafka.bootstrap, TOPIC, [tenant.org_id for tenant in tenants])
    wrong = judge(phases, outcomes) + accounting.unbalanced(books, admitted, events)
    print(
        f"asked {len(wanted)}, admitted {admitted}, events {len(events)} ({sum(events.values())} messages), ledger rows {len(books.rows)}, "
        f"duplicates {books.duplicates}; the last row {settled_s:.1f} s after the last answer"
    )
    print("\n".join(f"WRONG: {line}" for line in wrong) or "no request failed or was slower, nothing was lost or doubled")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
