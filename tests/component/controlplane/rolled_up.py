"""What rollups should hold, by the rows of the ledger."""

import asyncpg

from controlplane.usage.periods import Grain
from controlplane.usage.rollups import DURATION_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS, ROLLUPS

_ROLLED_UP = """
SELECT {keys}, requests, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, {errors}, durations, first_tokens
FROM {rollup} WHERE requests <> 0 ORDER BY {keys}
"""
_FROM_ROWS = """
SELECT {period_keys}, count(*) AS requests,
  sum(input_tokens)::bigint AS input_tokens, sum(cached_input_tokens)::bigint AS cached_input_tokens,
  sum(output_tokens)::bigint AS output_tokens, sum(reasoning_tokens)::bigint AS reasoning_tokens,
  count(*) FILTER (WHERE outcome IN ('upstream_error', 'lost')) AS errors,
  ARRAY(SELECT count(*) FILTER (WHERE width_bucket(ms - 1, $1::bigint[]) = place)
    FROM unnest(array_agg(duration_ms)) ms, generate_series(0, cardinality($1::bigint[])) place GROUP BY place ORDER BY place) AS durations,
  ARRAY(SELECT count(*) FILTER (WHERE width_bucket(ms - 1, $2::bigint[]) = place)
    FROM unnest(array_agg(time_to_first_token_ms)) ms, generate_series(0, cardinality($2::bigint[])) place
    GROUP BY place ORDER BY place) AS first_tokens
FROM ledger GROUP BY {places} ORDER BY {places}
"""
_PERIODS = {
    Grain.QUARTER_HOUR: "date_bin('15 minutes', admitted_at, timestamptz '2001-01-01Z')",
    Grain.HOUR: "date_trunc('hour', admitted_at, 'UTC')",
    Grain.DAY: "date_trunc('day', admitted_at, 'UTC')",
    Grain.WEEK: "date_trunc('week', admitted_at, 'UTC')",
}


async def assert_rollups_are_the_ledgers(database_url: str) -> None:
    """Compare every row of every rollup; the ledger must not be empty."""
    connection = await asyncpg.connect(database_url)
    try:
        for rollup in ROLLUPS:
            keys = ["period_start", *(dimension.column for dimension in rollup.dimensions)]
            period_keys = [f"{_PERIODS[rollup.grain]} AS period_start", *keys[1:]]
            by_rows = _FROM_ROWS.format(period_keys=", ".join(period_keys), places=", ".join(str(place) for place in range(1, len(keys) + 1)))
            expected = await connection.fetch(by_rows, list(DURATION_BOUNDS_MS), list(FIRST_TOKEN_BOUNDS_MS))
            errors = "errors" if "errors" in rollup.counts else "CASE WHEN outcome IN ('upstream_error', 'lost') THEN requests ELSE 0 END"
            found = await connection.fetch(_ROLLED_UP.format(rollup=rollup.table, keys=", ".join(keys), errors=errors))
            assert expected
            assert [tuple(row) for row in found] == [tuple(row) for row in expected], rollup.table
    finally:
        await connection.close()
