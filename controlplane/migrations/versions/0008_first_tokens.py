"""Rollups have a histogram of the time to the first token beside that of durations."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The bounds are `controlplane.usage.rollups.FIRST_TOKEN_BOUNDS_MS`. The default is for a worker of the version before, which leaves the column out.
ADD = "ALTER TABLE {table} ADD COLUMN first_tokens bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[14])"

BACKFILL = """
UPDATE {table} AS kept SET first_tokens = counted.first_tokens
FROM (
  SELECT {period} AS period_start, org_id, user_id, key_id, publication_id, model, endpoint, outcome,
    histogram_sum(array_fill(0::bigint, ARRAY[place]) || 1::bigint || array_fill(0::bigint, ARRAY[13 - place])) AS first_tokens
  FROM (
    SELECT *, width_bucket(time_to_first_token_ms - 1, ARRAY[20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]::bigint[]) AS place
    FROM ledger WHERE time_to_first_token_ms IS NOT NULL) AS placed
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8) AS counted
WHERE (kept.period_start, kept.org_id, kept.user_id, kept.key_id, kept.publication_id, kept.model, kept.endpoint, kept.outcome)
  = (counted.period_start, counted.org_id, counted.user_id, counted.key_id, counted.publication_id, counted.model, counted.endpoint, counted.outcome)
"""

ROLLUPS = {
    "usage_quarter_hours": "date_bin('15 minutes', admitted_at, timestamptz '2001-01-01Z')",
    "usage_days": "date_trunc('day', admitted_at, 'UTC')",
}


def upgrade() -> None:
    for table, period in ROLLUPS.items():
        op.execute(ADD.format(table=table))
        op.execute(BACKFILL.format(table=table, period=period))
