"""How long do reads of the control plane take behind 1,000 orgs, 100,000 keys and a ledger of millions of requests with its rollups?

Everything is in one durable PostgreSQL; the ledger's size is `LEDGER_ROWS` (environment), by default what fits into the time.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import httpx2

from benchmarks.api import first_admin, replicas, sign_in
from benchmarks.ledger import postgres
from benchmarks.measuring import result
from controlplane.usage.ledger_sql import WRITES_EVERY_ROLLUP
from controlplane.usage.periods import Grain
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS, ROLLUPS, Rollup
from tests.support.postgres import migrate, run_apart

ORGS, USERS_OF_ORG, KEYS, MODELS = 1_000, 10, 100_000, 5
LEDGER_ROWS = int(os.environ.get("LEDGER_ROWS", "1000000"))
DAYS = 30
SECONDS_EACH, AT_ONCE = 2, 2
_AT_LEAST = 20
BOUND_MS = 50

# Ids are made of numbers, so that rows refer to each other without a look.
_ID = "md5('{}' || {})::uuid"
ORG, USER, KEY, MODEL = (_ID.format(kind, "{}") for kind in ("org", "user", "key", "model"))
_MODEL_OF = f"(i / {ORGS} % {MODELS})"  # all orgs use all models, a key one of them
_OUTCOME = "CASE WHEN i % 31 = 0 THEN 'client_abort' WHEN i % 97 = 0 THEN 'upstream_error' ELSE 'complete' END"
_USER_OF = f"(i % {ORGS * USERS_OF_ORG})"
_LEDGER_COLUMNS = (
    "admitted_at, event_id, org_id, user_id, key_id, publication_id, model, upstream_model, endpoint, stream, outcome, http_status, input_tokens, "
    "cached_input_tokens, output_tokens, reasoning_tokens, usage_source, held_tokens, time_to_first_token_ms, duration_ms, ended_at, request_id, tags"
)
_MOMENT = f"now() - interval '{DAYS} days' * (i::float / {LEDGER_ROWS})"
FILL = (
    f"INSERT INTO orgs (id, slug, name) SELECT {ORG.format('i')}, 'org-' || i, 'Org ' || i FROM generate_series(0, {ORGS - 1}) i",
    (
        f"INSERT INTO users (id, org_id, username, role) SELECT {USER.format('i')}, {ORG.format(f'(i % {ORGS})')}, 'user-' || i, "
        f"CASE WHEN i < {ORGS} THEN 'org_admin' ELSE 'org_user' END FROM generate_series(0, {ORGS * USERS_OF_ORG - 1}) i"
    ),
    (
        f"INSERT INTO keys (id, org_id, user_id, name) SELECT {KEY.format('i')}, {ORG.format(f'(i % {ORGS})')}, {USER.format(_USER_OF)}, 'key-' || i "
        f"FROM generate_series(0, {KEYS - 1}) i"
    ),
    (
        "INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint) "
        f"SELECT lpad(i::text, 8, '0'), {KEY.format('i')}, sha256(i::text::bytea), 1, 'ias_live_' || i FROM generate_series(0, {KEYS - 1}) i"
    ),
    "INSERT INTO budgets (subject_id, period, scope, org_id, tokens) SELECT id, 'month', 'org', id, 1000000000 FROM orgs",
    (
        f"INSERT INTO ledger ({_LEDGER_COLUMNS}) SELECT {_MOMENT}, gen_random_uuid(), {ORG.format(f'(i % {ORGS})')}, {USER.format(_USER_OF)}, "
        f"{KEY.format(f'(i % {KEYS})')}, {MODEL.format(_MODEL_OF)}, 'model-' || {_MODEL_OF}, 'model-' || {_MODEL_OF}, 'chat_completions', true, "
        f"{_OUTCOME}, 200, 100, 0, 50, 0, 'reported', 0, 20, 500, {_MOMENT}, 'request-' || i, '{{}}' FROM generate_series(1, {LEDGER_ROWS}) i"
    ),
)
_ROLLUP = """
INSERT INTO {table} ({keys}, requests, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
  {names}durations, first_tokens)
SELECT {of_rows},
  count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens), {errors}{durations}, {first_tokens}
FROM ledger GROUP BY {places}"""
_ERRORS = "count(*) FILTER (WHERE outcome IN ('upstream_error', 'lost'))"
_HISTOGRAMS = {
    name: f"array_fill(0::bigint, ARRAY[{len(bounds)}]) || count(*)"
    for name, bounds in (("durations", DURATION_BOUNDS_MS), ("first_tokens", FIRST_TOKEN_BOUNDS_MS))
}
_WIDTHS = {Grain.QUARTER_HOUR: "15 minutes", Grain.HOUR: "1 hour", Grain.DAY: "1 day"}
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


async def fill(url: str) -> None:
    """Fill the database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off")
        for statement in FILL:
            await connection.execute(statement)
        for name, value in WRITES_EVERY_ROLLUP.items():
            await connection.execute("SELECT set_config($1, $2, false)", name, value)
        for rollup in ROLLUPS:
            await connection.execute(_fill(rollup))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _fill(rollup: Rollup) -> str:
    """The statement that makes a rollup of the ledger."""
    dimensions = [dimension.column for dimension in rollup.dimensions]
    names, errors = ("errors, ", f"{_ERRORS}, ") if "errors" in rollup.counts else ("", "")
    return _ROLLUP.format(
        table=rollup.table,
        keys=", ".join(("period_start", *dimensions)),
        of_rows=", ".join((f"date_bin('{_WIDTHS[rollup.grain]}', admitted_at, timestamptz '2001-01-01Z')", *dimensions)),
        places=", ".join(str(place) for place in range(1, len(dimensions) + 2)),
        names=names,
        errors=errors,
        **_HISTOGRAMS,
    )


async def some_key(url: str) -> str:
    """Return the id of a key."""
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(f"SELECT {KEY.format(7)}"))
    finally:
        await connection.close()


async def sizes(url: str) -> dict[str, int]:
    """Return how many rows there are."""
    connection = await asyncpg.connect(url)
    try:
        tables = ("orgs", "users", "keys", "ledger", *(rollup.table for rollup in ROLLUPS))
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
    finally:
        await connection.close()


async def let_in(url: str, username: str) -> None:
    """Give a user the password of the first System Admin."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE users SET password_hash = root.password_hash FROM users root WHERE root.org_id IS NULL AND users.username = $1", username
        )
    finally:
        await connection.close()


async def measure(address: str, token: str, paths: Sequence[str]) -> dict[str, list[float]]:
    """Return the times of each read in milliseconds."""
    times: dict[str, list[float]] = {}
    async with httpx2.AsyncClient(base_url=f"{address}/api", headers={"authorization": f"Bearer {token}"}, timeout=60) as client:

        async def read(path: str) -> float:
            began = time.perf_counter()
            (await client.get(path)).raise_for_status()
            return (time.perf_counter() - began) * 1000

        for path in paths:
            await read(path)
            times[path] = []
            end = time.monotonic() + SECONDS_EACH
            while time.monotonic() < end or len(times[path]) < _AT_LEAST:
                times[path] += await asyncio.gather(*(read(path) for _ in range(AT_ONCE)))
    return times


def report(url: str) -> None:
    """Measure all reads of a filled database and say how long they took."""
    rows = run_apart(sizes(url))
    print(", ".join(f"{count:,} {table}" for table, count in rows.items()))
    with tempfile.TemporaryDirectory() as folder, replicas(url, 1, Path(folder)) as (address,):
        admin, key_id = first_admin(url), run_apart(some_key(url))
        times = run_apart(measure(address, sign_in(address, admin), [path.replace("{key}", key_id) for path in READS]))
        run_apart(let_in(url, USERNAME))
        times |= run_apart(measure(address, sign_in(address, admin | {"username": USERNAME}), OWN_READS))
    print(f"{'read':44} {'p50 ms':>8} {'p99 ms':>8}")
    p99s = {}
    for path, one in times.items():
        p99s[path] = statistics.quantiles(one, n=100)[98]
        print(f"{path:44} {statistics.median(one):8.1f} {p99s[path]:8.1f}{'' if p99s[path] <= BOUND_MS else '  above the bound'}")
    everything = statistics.quantiles([value for one in times.values() for value in one], n=100)[98]
    result(rows=rows, p99_ms=round(everything, 1), worst_p99_ms=round(max(p99s.values()), 1), worst=max(p99s, key=lambda path: p99s[path]))


def main() -> None:
    with postgres() as server:
        url = server.url()
        run_apart(migrate(url))
        began = time.monotonic()
        run_apart(fill(url))
        print(f"filled in {time.monotonic() - began:.0f} s")
        report(url)


if __name__ == "__main__":
    main()
