"""The database of `benchmarks.reads`: orgs, people, keys and a ledger with all its rollups, in one durable PostgreSQL."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks.ledger import postgres
from controlplane.usage.ledger_sql import WRITES_EVERY_ROLLUP
from controlplane.usage.periods import Grain
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS, ROLLUPS, Rollup
from standalone.postgres import Postgres
from tests.support.postgres import migrate, run_apart

ORGS, USERS_OF_ORG, KEYS, MODELS = 1_000, 10, 100_000, 5
LEDGER_ROWS = int(os.environ.get("LEDGER_ROWS", "1000000"))
DAYS = 30

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
_WIDTHS = {Grain.QUARTER_HOUR: "15 minutes", Grain.HOUR: "1 hour", Grain.DAY: "1 day", Grain.WEEK: "7 days"}


@contextmanager
def database(home: Path | None) -> Iterator[Postgres]:
    """A server with a filled database; in `home`, if it is given, where it is found filled the next time."""
    filled = home / "filled" if home else None
    with postgres(home) as server:
        url = server.url()
        run_apart(migrate(url))
        if filled is None or not filled.exists():
            began = time.monotonic()
            run_apart(fill(url))
            print(f"filled in {time.monotonic() - began:.0f} s")
            if filled:
                filled.touch()
        yield server


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
