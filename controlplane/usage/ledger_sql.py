"""The SQL of the ledger's writer."""

from functools import cache

import asyncpg
import msgspec

from controlplane.usage.rollups import Rollup
from controlplane.usage.rules import instant
from ias.usage_event import Outcome, RequestRecorded

# Columns with their types, in the order in which the writer gives them.
_COLUMNS = {
    "admitted_at": "timestamptz",
    "event_id": "uuid",
    "org_id": "uuid",
    "user_id": "uuid",
    "key_id": "uuid",
    "publication_id": "uuid",
    "model": "text",
    "upstream_model": "text",
    "endpoint": "text",
    "stream": "boolean",
    "outcome": "text",
    "http_status": "integer",
    "input_tokens": "bigint",
    "cached_input_tokens": "bigint",
    "output_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "usage_source": "text",
    "held_tokens": "bigint",
    "time_to_first_token_ms": "bigint",
    "duration_ms": "bigint",
    "ended_at": "timestamptz",
    "request_id": "text",
    "tags": "text",
}
_NAMES = ", ".join(_COLUMNS)
_VALUES = ", ".join("tags::jsonb" if name == "tags" else name for name in _COLUMNS)

# A batch comes by COPY into a table of its connection, which is three times as fast as arrays.
BATCH = "batch"
BATCH_COLUMNS = tuple(_COLUMNS)
CREATE_BATCH = f"CREATE TEMPORARY TABLE {BATCH} ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())}) ON COMMIT DELETE ROWS"

INSERT = f"""
INSERT INTO ledger ({_NAMES}) SELECT {_VALUES} FROM {BATCH} ON CONFLICT (admitted_at, event_id) DO NOTHING RETURNING event_id
"""  # noqa: S608  # only the constants above

# What the replaced rows held is needed to take it out of the rollups. They are locked in order of id, so that two workers cannot deadlock;
# a row that another worker replaces meanwhile is no longer `lost` when its lock is had, and is left out.
REPLACE = f"""
WITH event AS (SELECT {_VALUES} FROM {BATCH} WHERE event_id = ANY($1::uuid[])),
lost AS (
  SELECT ledger.* FROM ledger JOIN event USING (admitted_at, event_id)
  WHERE ledger.outcome = 'lost' ORDER BY ledger.event_id FOR UPDATE OF ledger
)
UPDATE ledger SET {", ".join(f"{name} = event.{name}" for name in _COLUMNS if name not in ("admitted_at", "event_id"))}
FROM event JOIN lost USING (admitted_at, event_id)
WHERE ledger.admitted_at = event.admitted_at AND ledger.event_id = event.event_id
RETURNING lost.*
"""  # noqa: S608


def event_of(row: asyncpg.Record, by: RequestRecorded) -> RequestRecorded:
    """Return the lost event that a row held before `by`, an event of the same id, replaced it: what rollups need of it."""
    texts = {name: str(row[name]) for name in ("org_id", "user_id", "key_id", "publication_id", "model")}
    times = ("duration_ms", "time_to_first_token_ms")
    counts = {name: row[name] for name in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", *times)}
    assert instant(by.admitted_at_ms) == row["admitted_at"]
    return msgspec.structs.replace(by, **texts, **counts, endpoint=row["endpoint"], outcome=Outcome.LOST)


POSITIONS = "SELECT stream, segment, byte_offset FROM consumer_positions"

MOVE = """
INSERT INTO consumer_positions (stream, segment, byte_offset) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT (stream) DO UPDATE SET segment = excluded.segment, byte_offset = excluded.byte_offset, updated_at = now()
"""

BURY = "INSERT INTO dead_letters (stream, segment, byte_offset, reason, content) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"

# Rows are locked in order of id, so that two workers cannot deadlock.
USED = """
WITH used AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)),
locked AS (
  SELECT keys.id, used.at FROM keys JOIN used USING (id)
  WHERE keys.last_used_at IS NULL OR keys.last_used_at < used.at ORDER BY keys.id FOR NO KEY UPDATE OF keys
)
UPDATE keys SET last_used_at = locked.at FROM locked WHERE keys.id = locked.id
"""

_HISTOGRAMS = ("durations", "first_tokens")

WRITES_EVERY_ROLLUP = {"ias.writes_every_rollup": "on", "ias.writes_rollups_of": "0021"}
"""Set on the connection of a writer that knows all rollups up to this revision. For one of the version before triggers write the newer ones."""


@cache
def add_to(rollup: Rollup) -> str:
    """The statement that adds sums to the rows of a rollup."""
    keys = {"period_start": "timestamptz"} | {dimension.column: _COLUMNS[dimension.column] for dimension in rollup.dimensions}
    names = ", ".join((*keys, *rollup.counts, *_HISTOGRAMS))
    kinds = (*keys.values(), *("bigint" for _ in rollup.counts), *("text" for _ in _HISTOGRAMS))
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, 1))
    values = ", ".join((*keys, *rollup.counts, *(f"{name}::bigint[]" for name in _HISTOGRAMS)))
    sums = [f"{name} = kept.{name} + excluded.{name}" for name in rollup.counts]
    sums += [f"{name} = histogram_add(kept.{name}, excluded.{name})" for name in _HISTOGRAMS]
    return f"""
INSERT INTO {rollup.table} AS kept ({names}) SELECT {values} FROM unnest({arrays}) AS change ({names})
ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {", ".join(sums)}
"""  # noqa: S608  # only names of ours
