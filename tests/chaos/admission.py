"""`make chaos-admission`: limits and budgets hold whatever happens to the store, and afterwards the counters are the ledger's sums.

Four orgs ask all the time: one without limits, one with a rate limit, one whose budget denies and one whose budget has grace while
the store is away; the first two have a budget in dry run, so that there is a counter for each. Every fault must leave the policy of design §4
in force: nobody waits more than 20 ms for the store (`store_waits`), and nobody gets an answer that the policy does not have. Within
60 s after the last one, `reconcile` finds no difference in any budget.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from controlplane.publishing import canary_org
from tests.chaos import accounting, faults, ground, load, store_waits, valkey_faults
from tests.chaos.faults import Fault, Struck
from tests.chaos.ground import Ground
from tests.chaos.load import Outcome, Wish
from tests.chaos.store_waits import Waits
from tests.e2e.world import Tenant

FREE, LIMITED, DENIES, GRACE = "free", "limited", "budget denies", "budget with grace"
LOOPBACK = {"IAS_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8"}
"""Where `reconcile` finds the engines of one machine."""
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


def tenants(service: Ground) -> dict[str, Tenant]:
    """Make the four orgs."""
    made = {kind: service.world.tenant() for kind in (FREE, LIMITED, DENIES, GRACE)}
    admin = service.world.admin
    admin.call("PUT", f"/api/org/{made[LIMITED].org_id}/limits", json={"requestsPerMinute": 60 * PER_SECOND // 8})
    admin.call("PUT", f"/api/org/{made[GRACE].org_id}/limits", json={"outageTokens": GRACE_TOKENS})
    for kind, tenant in made.items():
        admin.call("PUT", f"/api/org/{tenant.org_id}/budget/month", json={"tokens": BUDGET, "dryRun": kind in {FREE, LIMITED}})
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


class Watch:
    """Reads extauth's waits before each fault and at the end: a window lasts from one fault to the next, so that none is left out."""

    def __init__(self, service: Ground) -> None:
        self._url = service.world.ready["metrics_urls"]["extauth"]
        self._name, self._before = "before the first", store_waits.read(self._url)
        self.windows: list[tuple[str, Waits]] = []

    def over(self, fault: Fault) -> Fault:
        """The same fault, with a window that begins with it."""

        def strike() -> None:
            self.next(fault.name)
            fault.strike()

        return Fault(fault.name, strike)

    def next(self, name: str) -> None:
        """End the window, and begin another."""
        now = store_waits.read(self._url)
        self.windows.append((self._name, now.since(self._before)))
        self._name, self._before = name, now


def reconciled(service: Ground) -> tuple[bool, float, str]:
    """Ask `reconcile` until it finds no difference, at most `RECOVER_S`; return whether, when, and what it printed last."""
    ready, began = service.stack.ready, time.monotonic()
    environment = {**os.environ, "IAS_DATABASE_URL": ready["database_url"], "IAS_VALKEY_URL": ready["valkey_url"], **LOOPBACK}
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
        killed = any("kill" in name and not name.endswith("valkey") for name in during)
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
        watch = Watch(service)
        chosen = [watch.over(fault) for fault in every if arguments.only in fault.name]
        seconds = (PAUSE_S + 4) * (len(chosen) + 1)
        print(f"{PER_SECOND} requests/s for {seconds:g} s", flush=True)
        began = time.monotonic()
        with load.beside(load.run(service.gateway, wishes(models, round(seconds * PER_SECOND)), seconds)) as outcomes:
            struck = faults.strike_all(chosen, seconds)
        watch.next("the end")
        same, took, table = reconciled(service)
        if arguments.logs:
            service.keep_logs(arguments.logs)
        books = accounting.read_books(service.database_url, [tenant.org_id for tenant in orgs.values()])
        entries = service.engine.entries()
        canaries = accounting.read_books(service.database_url, [str(canary_org.ORG_ID)])
        unrecorded = len(entries.keys() - {row.request_id for row in books.rows + canaries.rows})
        found = accounting.compare(books.rows, entries)
    return report(outcomes, struck, watch.windows, began, (same, took, table), found, (books.duplicates, unrecorded))


def report(
    outcomes: Sequence[Outcome],
    struck: Sequence[Struck],
    windows: Sequence[tuple[str, Waits]],
    began: float,
    reconciliation: tuple[bool, float, str],
    found: accounting.Comparison,
    miscounted: tuple[int, int],
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
    print(f"\n{store_waits.table(windows)}")
    accounting.print_comparison(found)
    same, took, table = reconciliation
    print(f"\n{table}")
    wrong = [
        f"during '{during}' the org '{kind}' got {status} {code}, {n} times"
        for (during, kind, status, code), n in sorted(refused_by_no_policy(outcomes, struck, began).items())
    ]
    wrong += [f"from '{name}' on {waits.unexplained} requests waited more than 20 ms for Valkey" for name, waits in windows if waits.unexplained]
    if not any(waits.count for _, waits in windows):
        wrong.append("extauth told of no wait at all")
    if not same:
        wrong.append(f"counters and ledger still differ after {took:.0f} s")
    duplicates, unrecorded = miscounted
    if duplicates:
        wrong.append(f"{duplicates} rows of the ledger are duplicates")
    if unrecorded:
        wrong.append(f"{unrecorded} requests that the engine has seen have no row in the ledger")
    print("\n".join(f"WRONG: {line}" for line in wrong) or f"the policy held; counters and ledger were equal {took:.0f} s after the last fault")
    result = {
        "faults": len(struck),
        "waits": sum(waits.count for _, waits in windows),
        "longest_ms": round(max(waits.longest_s for _, waits in windows) * 1000, 1),
        "above_20ms": sum(waits.above for _, waits in windows),
        "noticed_late": sum(waits.noticed_late for _, waits in windows),
        "unexplained": sum(waits.unexplained for _, waits in windows),
        "equal_after_s": round(took, 1) if same else None,
        "unrecorded": miscounted[1],
    }
    print(f"RESULT {json.dumps(result)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
