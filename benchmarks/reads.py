"""How long do reads of the control plane take behind 1,000 orgs, 100,000 keys and a ledger of millions of requests with its rollups?

The ledger's size is `LEDGER_ROWS`, by default what fits into the time. With `HOME_OF_DATA=folder` the database stays there and is used again;
`make bench-reads FILL_ONLY=1` does no more than to fill it. `BESIDE=folder` measures the API of another checkout, too, read by read in turn.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx2

from benchmarks.api import Replica, first_admin, replicas, sign_in
from benchmarks.ledger import postgres_cpu_s
from benchmarks.measuring import cpu_s, result
from benchmarks.reads_data import database, sizes, some_key
from standalone.postgres import Postgres
from tests.support.postgres import run_apart

SECONDS_EACH, AT_ONCE = 2, 2
_AT_LEAST = 20
BOUND_MS = 50
READS = (
    "/org?limit=50",
    "/org/org-7",
    "/org/org-7/user",
    "/org/org-7/key",
    "/key/{key}",
    "/org/org-7/budget",
    "/org/org-7/budget/month",
    "/org/org-7/limits",
    "/org/org-7/audit_log",
    "/analytics/org/org-7",
    "/analytics/org/org-7/series?interval=day",
    "/analytics/org/org-7/series?interval=hour",
    "/analytics/org/org-7/top?by=key",
    "/analytics/system",
    "/analytics/system/series?interval=day",
    "/analytics/system/series?interval=hour",
    "/analytics/system/top?by=org",
    "/requests/request-77",
)
USERNAME = "user-1007"
OWN_READS = ("/me", "/analytics/own", "/analytics/own/series?interval=day")
"""Of that user, of org-7."""


@dataclass
class Measured:
    """One read."""

    times_ms: list[float] = field(default_factory=list)
    api_cpu_s: float = 0
    postgres_cpu_s: float = 0

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.times_ms, n=100)[98]

    def __str__(self) -> str:
        cpu = (1000 * seconds / len(self.times_ms) for seconds in (self.api_cpu_s, self.postgres_cpu_s))
        figures = "".join(f"{figure:9.1f}" for figure in (statistics.median(self.times_ms), self.p99_ms, *cpu))
        return f"{figures}{'' if self.p99_ms <= BOUND_MS else '  above the bound'}"


async def let_in(url: str, username: str) -> None:
    """Give a user the password of the first System Admin."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE users SET password_hash = root.password_hash FROM users root WHERE root.org_id IS NULL AND users.username = $1", username
        )
    finally:
        await connection.close()


async def read_for_a_while(replica: Replica, token: str, path: str) -> list[float]:
    """Return the times of one read in milliseconds."""
    times: list[float] = []
    async with httpx2.AsyncClient(base_url=f"{replica.address}/api", headers={"authorization": f"Bearer {token}"}, timeout=60) as client:

        async def read() -> float:
            began = time.perf_counter()
            (await client.get(path)).raise_for_status()
            return (time.perf_counter() - began) * 1000

        await read()
        end = time.monotonic() + SECONDS_EACH
        while time.monotonic() < end or len(times) < _AT_LEAST:
            times += await asyncio.gather(*(read() for _ in range(AT_ONCE)))
    return times


def measure(server: Postgres, replica: Replica, token: str, path: str) -> Measured:
    """Measure one read, with the CPU that it takes."""
    before = cpu_s(replica.pid), postgres_cpu_s(server)
    times = run_apart(read_for_a_while(replica, token, path))
    return Measured(times, cpu_s(replica.pid) - before[0], postgres_cpu_s(server) - before[1])


def measure_all(server: Postgres, sides: Mapping[str, Replica], admin: dict[str, str]) -> dict[str, dict[str, Measured]]:
    """Measure all reads of each side, in turn."""
    key_id = run_apart(some_key(server.url()))
    run_apart(let_in(server.url(), USERNAME))
    found: dict[str, dict[str, Measured]] = {name: {} for name in sides}
    for person, paths in ((admin, READS), (admin | {"username": USERNAME}, OWN_READS)):
        tokens = {name: sign_in(replica.address, person) for name, replica in sides.items()}
        for path in paths:
            for name, replica in sides.items():
                found[name][path] = measure(server, replica, tokens[name], path.replace("{key}", key_id))
    return found


def admin_of(server: Postgres) -> dict[str, str]:
    """The first System Admin, whose password stays beside the data."""
    file = server.directory / "admin.json"
    if not file.exists():
        file.write_text(json.dumps(first_admin(server.url())))
    admin: dict[str, str] = json.loads(file.read_text())
    return admin


def report(found: Mapping[str, Mapping[str, Measured]], rows: Mapping[str, int]) -> None:
    """Say how long reads took, those of `now` for machines."""
    head = "".join(f"{name:>9}" for name in ("p50 ms", "p99 ms", "API ms", "PG ms"))
    for name, side in found.items():
        print(f"{name:44}{head}   (CPU of a read: of the API, of PostgreSQL)")
        for path, one in side.items():
            print(f"{path:44}{one}")
    now = found["now"]
    everything = statistics.quantiles([value for one in now.values() for value in one.times_ms], n=100)[98]
    worst = max(now, key=lambda path: now[path].p99_ms)
    result(rows=rows, p99_ms=round(everything, 1), worst_p99_ms=round(now[worst].p99_ms, 1), worst=worst)


def main() -> None:
    home, beside = (Path(os.environ[name]) if os.environ.get(name) else None for name in ("HOME_OF_DATA", "BESIDE"))
    with database(home) as server, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rows = run_apart(sizes(server.url()))
        print(", ".join(f"{count:,} {table}" for table, count in rows.items()), flush=True)
        if os.environ.get("FILL_ONLY"):
            return
        sides = {}
        for name, checkout in {"beside": beside, "now": Path()}.items():
            if checkout:
                (logs := Path(folder) / name).mkdir()
                (sides[name],) = stack.enter_context(replicas(server.url(), 1, logs, checkout))
        report(measure_all(server, sides, admin_of(server)), rows)


if __name__ == "__main__":
    main()
