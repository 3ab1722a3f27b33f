"""`make chaos-admission`: limits and budgets hold whatever happens to the store, and afterwards the counters are the ledger's sums.

Four orgs ask all the time: one without limits, one with a rate limit, one whose budget denies and one whose budget has grace while
the store is away. Every fault must leave the policy of design §4 in force: nobody waits for a store that does not answer, and nobody
gets an answer that the policy does not have. Within 60 s after the last one, `reconcile` finds no difference in any budget.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.chaos import accounting, faults, ground, load, valkey_faults
from tests.chaos.faults import Fault, Struck
from tests.chaos.ground import Ground
from tests.chaos.load import Outcome, Wish
from tests.e2e.world import Tenant

FREE, LIMITED, DENIES, GRACE = "free", "limited", "budget denies", "budget with grace"
PROCESSES = ("extauth", "extproc", "worker", "postgres", "api", "envoy")
BUDGET = 50_000_000
GRACE_TOKENS = 1_000_000
RECOVER_S = 60
PAUSE_S = 8.0
PER_SECOND = 16

_POLICY = {
    FREE: {200},
    LIMITED: {200, 429},
    DENIES: {200, 503},
    GRACE: {200},
}
"""What each org may get while the store is away. Killed processes add 503, or no answer, for a moment."""


@dataclass(frozen=True)
class Checks:
    """Decisions of extauth since its start, by how long they took: upper bounds in seconds, and how many took at most that."""

    counts: tuple[tuple[float, int], ...]

    def slower(self, bound_s: float) -> int:
        """How many took longer."""
        return self.counts[-1][1] - next(count for bound, count in self.counts if bound >= bound_s) if self.counts else 0


def checks(service: Ground) -> Checks:
    """Read extauth's own histogram; empty while it is down."""
    try:
        text = httpx2.get(service.world.ready["metrics_urls"]["extauth"], timeout=5).text
    except httpx2.HTTPError:
        return Checks(())
    found = re.findall(r'^ias_check_seconds_bucket\{le="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    return Checks(tuple((float(bound.replace("+Inf", "inf")), round(float(count))) for bound, count in found))


def tenants(service: Ground) -> dict[str, Tenant]:
    """Make the four orgs."""
    made = {kind: service.world.tenant() for kind in (FREE, LIMITED, DENIES, GRACE)}
    admin = service.world.admin
    admin.call("PUT", f"/api/org/{made[LIMITED].org_id}/limits", json={"requestsPerMinute": 60 * PER_SECOND // 8})
    admin.call("PUT", f"/api/org/{made[GRACE].org_id}/limits", json={"outageTokens": GRACE_TOKENS})
    for kind in (DENIES, GRACE):
        admin.call("PUT", f"/api/org/{made[kind].org_id}/budget/month", json={"tokens": BUDGET})
    return made


def wishes(models: Sequence[tuple[str, Tenant, str]], count: int) -> list[Wish]:
    """The orgs in turn; some clients leave, some answers are not streamed."""
    made = []
    for number in range(count):
        kind, tenant, model = models[number % len(models)]
        turn = number // len(models) % 8
        made.append(
            Wish(
                model,
                tenant.api_key,
                kind,
                "tokens=20,pace_ms=20",
                leave_after=5 if turn == 3 else None,
                body={"max_tokens": 50, **({"stream": False} if turn == 5 else {})},
            )
        )
    return made


def watched(service: Ground, fault: Fault, seen: list[tuple[str, int, int]]) -> Fault:
    """Note how many decisions were slow while a fault lasted, and how many there were."""

    def strike() -> None:
        before = checks(service)
        fault.strike()
        after = checks(service)
        total = (after.counts[-1][1] if after.counts else 0) - (before.counts[-1][1] if before.counts else 0)
        if total > 0:
            seen.append((fault.name, after.slower(0.025) - before.slower(0.025), total))

    return Fault(fault.name, strike)


def reconciled(service: Ground) -> tuple[bool, float, str]:
    """Ask `reconcile` until it finds no difference, at most `RECOVER_S`; return whether, when, and what it printed last."""
    ready, began = service.stack.ready, time.monotonic()
    environment = {**os.environ, "IAS_DATABASE_URL": ready["database_url"], "IAS_VALKEY_URL": ready["valkey_url"]}
    while True:
        done = subprocess.run([sys.executable, "-m", "controlplane", "reconcile"], env=environment, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        if done.returncode == 0 or took > RECOVER_S:
            return done.returncode == 0, took, done.stdout + done.stderr
        time.sleep(1)


def refused_by_no_policy(outcomes: Sequence[Outcome], struck: Sequence[Struck], began: float) -> Counter[tuple[str, str, int, str]]:
    """Answers that the policy does not have, by fault and org."""
    wrong: Counter[tuple[str, str, int, str]] = Counter()
    for outcome in outcomes:
        during = [one.name for one in struck if began + one.at_s - 1 <= outcome.at_s <= began + one.over_s + PAUSE_S]
        killed = any(name.startswith("kill -9") and not name.endswith("valkey") for name in during)
        allowed = _POLICY[outcome.kind] if during else {200, 429} if outcome.kind == LIMITED else {200}
        if outcome.status not in allowed and not (killed and outcome.status in {0, 503}):
            wrong[during[-1] if during else "nothing", outcome.kind, outcome.status, outcome.code] += 1
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.admission", description=__doc__)
    parser.add_argument("--only", default="", help="only faults whose name has this in it")
    parser.add_argument("--logs", type=Path, help="copy the logs of all processes there")
    arguments = parser.parse_args()
    with ground.running() as service:
        orgs = tenants(service)
        models = [(kind, tenant, service.publish(tenant, continuousUsage=True)) for kind, tenant in orgs.items()]
        every = [*valkey_faults.every(service.stack), *(faults.kill(service.stack, name) for name in PROCESSES)]
        slow: list[tuple[str, int, int]] = []
        chosen = [watched(service, fault, slow) for fault in every if arguments.only in fault.name]
        seconds = (PAUSE_S + 4) * (len(chosen) + 1)
        print(f"{PER_SECOND} requests/s for {seconds:g} s", flush=True)
        began = time.monotonic()
        with load.beside(load.run(service.gateway, wishes(models, round(seconds * PER_SECOND)), seconds)) as outcomes:
            struck = faults.strike_all(chosen, seconds)
        same, took, table = reconciled(service)
        if arguments.logs:
            service.keep_logs(arguments.logs)
        books = accounting.read_books(service.database_url, [tenant.org_id for tenant in orgs.values()])
        found = accounting.compare(books.rows, service.engine.entries())
    return report(outcomes, struck, slow, began, (same, took, table), found, books.duplicates)


def report(
    outcomes: Sequence[Outcome],
    struck: Sequence[Struck],
    slow: Sequence[tuple[str, int, int]],
    began: float,
    reconciliation: tuple[bool, float, str],
    found: accounting.Comparison,
    duplicates: int,
) -> int:
    """Print what happened; return the exit code."""
    print(f"\n{'during':<28}{'org':<20}answers: how many, and time to the headers p50 / p99 in ms")
    for one in struck:
        for kind in _POLICY:
            during = [o for o in outcomes if o.kind == kind and began + one.at_s <= o.at_s <= began + one.over_s + 1 and o.status]
            times = sorted(o.to_headers_s * 1000 for o in during if o.events or o.status != 200)  # a whole answer's come at its end
            if times:
                statuses = ", ".join(f"{status}: {n}" for status, n in sorted(Counter(o.status for o in during).items()))
                print(f"{one.name:<28}{kind:<20}{statuses:<30}{statistics.median(times):>7.0f} /{times[int(len(times) * 0.99)]:>7.0f}")
    print("\n".join(f"decisions of extauth above 25 ms during '{name}': {late} of {total}" for name, late, total in slow))
    accounting.print_comparison(found)
    same, took, table = reconciliation
    print(f"\n{table}")
    wrong = [
        f"during '{during}' the org '{kind}' got {status} {code}, {n} times"
        for (during, kind, status, code), n in sorted(refused_by_no_policy(outcomes, struck, began).items())
    ]
    wrong += [f"during '{name}' {late} of {total} decisions took more than 25 ms" for name, late, total in slow if late > max(2, total // 10)]
    if not same:
        wrong.append(f"counters and ledger still differ after {took:.0f} s")
    if duplicates:
        wrong.append(f"{duplicates} rows of the ledger are duplicates")
    print("\n".join(f"WRONG: {line}" for line in wrong) or f"the policy held; counters and ledger were equal {took:.0f} s after the last fault")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
