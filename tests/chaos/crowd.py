"""`make crowd`: many processes on one budget that is a tenth of what they ask for, in each admission mode, streamed and not.

Strict never overspends. What balanced and lenient may overspend is what requests used above what was held for them: the sum is read
from the ledger, request by request, and printed beside what was really overspent.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import accounting, ground, load
from tests.chaos.ground import Ground
from tests.chaos.load import Outcome, Wish
from tests.e2e.world import until

MODES = ("strict", "balanced", "lenient")
TOKENS, CAP = (40, 80, 120, 390), 400
"""How long answers are, in turn, and what a request says it may be."""
PROMPT = 13


@dataclass(frozen=True)
class Told:
    """One mode, after all."""

    mode: str
    kind: str
    demanded: int
    budget: int
    requests: int
    admitted: int
    at_once: int
    spent: int
    bound: int
    statuses: Counter[str]

    @property
    def overspent(self) -> int:
        return max(0, self.spent - self.budget)

    def row(self) -> str:
        numbers = (self.demanded, self.budget, self.admitted, self.at_once, self.spent, self.overspent, self.bound)
        return f"{self.mode:<10}{self.kind:<10}" + "".join(f"{number:>11}" for number in numbers) + f"  {dict(self.statuses)}"


def one(service: Ground, mode: str, streamed: bool, processes: int, at_once: int, each: int) -> Told:
    """One org with a budget, and a crowd on it."""
    tenant = service.world.tenant()
    requests = processes * at_once * each
    demanded = requests * (sum(TOKENS) // len(TOKENS) + PROMPT)
    budget = demanded // 10
    admin = service.world.admin
    admin.call("PUT", f"/api/org/{tenant.org_id}/limits", json={"admissionMode": mode})
    admin.call("PUT", f"/api/org/{tenant.org_id}/budget/month", json={"tokens": budget})
    model = service.publish(tenant, continuousUsage=True)
    body = {"stream": streamed, "max_tokens": CAP}
    share = [Wish(model, tenant.api_key, simulate=f"tokens={TOKENS[n % len(TOKENS)]},pace_ms=5", body=body) for n in range(at_once * each)]
    outcomes = load.in_processes(load.stubbornly, service.gateway, [share] * processes, at_once)
    admitted = [outcome for outcome in outcomes if outcome.status == 200]

    def settled() -> accounting.Books | None:
        books = accounting.read_books(service.database_url, [tenant.org_id])
        return books if len(books.rows) >= len(admitted) else None

    rows = until(settled, 60, every_s=0.5).rows  # type: ignore[union-attr]  # it waits until there are some
    return Told(
        mode,
        "streamed" if streamed else "whole",
        demanded,
        budget,
        requests,
        len(rows),
        highest(admitted),
        sum(row.input + row.output for row in rows),
        sum(max(0, row.input + row.output - row.held) for row in rows),
        Counter(outcome.code or str(outcome.status) for outcome in outcomes),
    )


def highest(outcomes: Sequence[Outcome]) -> int:
    """How many ran at the same time at most."""
    steps = sorted([(outcome.at_s, 1) for outcome in outcomes] + [(outcome.at_s + outcome.seconds, -1) for outcome in outcomes])
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crowd", description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--streams", type=int, default=50, help="at once in each process")
    parser.add_argument("--each", type=int, default=4, help="requests that each of them makes")
    arguments = parser.parse_args()
    with ground.running() as service:
        told = []
        for mode in MODES:
            for streamed in (True, False):
                told.append(one(service, mode, streamed, arguments.processes, arguments.streams, arguments.each))
                print(told[-1].row(), flush=True)
        environment = {**os.environ, "IAS_DATABASE_URL": service.database_url, "IAS_VALKEY_URL": service.stack.ready["valkey_url"]}

        def equal() -> bool:
            return (
                subprocess.run([sys.executable, "-m", "controlplane", "reconcile"], env=environment, capture_output=True, check=False).returncode == 0
            )

        until(equal, 90, every_s=1)
    names = ("demanded", "budget", "admitted", "at once", "spent", "overspent", "bound")
    print(f"\n{'mode':<10}{'answers':<10}" + "".join(f"{name:>11}" for name in names) + "  answers by status")
    print("\n".join(each.row() for each in told))
    wrong = [
        f"{each.mode}, {each.kind}: {each.overspent} tokens overspent, the bound is {each.bound}" for each in told if each.overspent > each.bound
    ]
    wrong += [f"strict, {each.kind}: {each.overspent} tokens overspent" for each in told if each.mode == "strict" and each.overspent]
    print("\n".join(f"WRONG: {line}" for line in wrong) or "no mode overspent more than its bound; counters and ledger are equal")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
