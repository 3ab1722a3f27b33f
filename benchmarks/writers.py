"""Two replicas of the API under 200 concurrent writers: are 10,000 changes all kept, and how soon does a reader of the change log see them?"""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx2

from benchmarks.api import first_admin, replicas, sign_in
from benchmarks.ledger import postgres
from benchmarks.measuring import result
from tests.support.postgres import migrate, run_apart
from tests.support.writers import Figures, write_at_once

WRITERS, CHANGES, ORGS = 200, 10_000, 200
PATIENCE_S = 600


async def measure(url: str, addresses: list[str], token: str) -> tuple[Figures, int]:
    """Return the figures, and the sum of what the budgets say at the end."""
    async with AsyncExitStack() as stack:
        headers = {"authorization": f"Bearer {token}"}
        limits = httpx2.Limits(max_connections=WRITERS, max_keepalive_connections=WRITERS)
        options = {"headers": headers, "timeout": 120, "limits": limits}
        clients = [await stack.enter_async_context(httpx2.AsyncClient(base_url=address, **options)) for address in addresses]
        paths = [f"/api/org/org-{number}/budget/month" for number in range(ORGS)]
        for number, path in enumerate(paths):
            (await clients[0].post("/api/org", json={"name": f"Org {number}"})).raise_for_status()
            (await clients[0].put(path, json={"tokens": 0})).raise_for_status()
        await _forget_changes(url)
        figures = await write_at_once(url, clients, paths, WRITERS, CHANGES, PATIENCE_S)
        kept = sum([(await clients[0].get(path)).json()["tokens"] for path in paths])
        return figures, kept


async def _forget_changes(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM change_log")
    await connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        url = server.url()
        run_apart(migrate(url))
        with replicas(url, 2, Path(folder)) as both:
            figures, kept = run_apart(measure(url, [one.address for one in both], sign_in(both[0].address, first_admin(url))))
    lost = figures.writes - kept
    print(f"{figures.writes} changes by {WRITERS} writers on 2 replicas in {figures.seconds:.1f} s ({figures.writes / figures.seconds:.0f}/s)")
    print(f"overtaken and repeated {figures.overtaken}, sent away for a second and repeated {figures.sent_away}")
    print(f"lost {lost}, errors {len(figures.errors)} {figures.errors[:3]}")
    print(f"the reader saw {figures.seen}, missed {figures.out_of_order}; p99 from answer to reader {figures.delay_p99:.3f} s (it polls every 0.5 s)")
    result(
        changes=figures.writes,
        writers=WRITERS,
        per_second=round(figures.writes / figures.seconds),
        lost=lost,
        missed=CHANGES - figures.seen + figures.out_of_order,
        errors=len(figures.errors),
        sent_away=figures.sent_away,
        seen_p99_s=round(figures.delay_p99, 3),
    )


if __name__ == "__main__":
    main()
