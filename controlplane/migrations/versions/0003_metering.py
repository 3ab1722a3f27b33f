"""Rollups of the ledger, positions of consumers, dead letters, retention, engine counters and security events."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A position is no longer that of a spool only. A worker of the version before waits at this until it is replaced; nothing is lost.
POSITIONS = (
    "ALTER TABLE spool_offsets RENAME TO consumer_positions",
    "ALTER TABLE consumer_positions RENAME COLUMN spool TO stream",
)

DEAD_LETTERS = """
CREATE TABLE dead_letters (
  stream text NOT NULL,
  segment bigint NOT NULL,
  byte_offset bigint NOT NULL,
  reason text NOT NULL,
  content bytea NOT NULL,
  buried_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream, segment, byte_offset)
)
"""

# `durations` counts requests by duration; the bounds are `controlplane.usage.rollups.DURATION_BOUNDS_MS`. No foreign keys, as in the ledger.
_ROLLUP = """
CREATE TABLE {table} (
  period_start timestamptz NOT NULL,
  org_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key_id uuid NOT NULL,
  publication_id uuid NOT NULL,
  model text NOT NULL,
  endpoint text NOT NULL,
  outcome text NOT NULL,
  requests bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  durations bigint[] NOT NULL,
  PRIMARY KEY (org_id, period_start, key_id, publication_id, user_id, model, endpoint, outcome)
)
"""

HISTOGRAM_ADD = """
CREATE FUNCTION histogram_add(a bigint[], b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT array_agg(x + y ORDER BY place) FROM unnest(a, b) WITH ORDINALITY AS pair (x, y, place))
"""

HISTOGRAM_SUM = "CREATE AGGREGATE histogram_sum (bigint[]) (SFUNC = histogram_add, STYPE = bigint[], COMBINEFUNC = histogram_add, PARALLEL = SAFE)"

_BACKFILL = """
INSERT INTO {table}
SELECT {period}, org_id, user_id, key_id, publication_id, model, endpoint, outcome,
  count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens),
  histogram_sum(array_fill(0::bigint, ARRAY[place]) || 1::bigint || array_fill(0::bigint, ARRAY[12 - place]))
FROM (
  SELECT *, width_bucket(duration_ms - 1, ARRAY[100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000]::bigint[]) AS place
  FROM ledger) AS placed
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

_ROLLUPS = {
    "usage_quarter_hours": "date_bin('15 minutes', admitted_at, timestamptz '2001-01-01Z')",
    "usage_days": "date_trunc('day', admitted_at, 'UTC')",
}

# Partitions are dropped whole. What the default partition holds of the time before goes too: late months have no partition of their own.
LEDGER_DROP_BEFORE = """
CREATE FUNCTION ledger_drop_before(month timestamptz) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  first timestamptz := date_trunc('month', month, 'UTC');
  part text;
  dropped text[] := '{}';
BEGIN
  PERFORM pg_advisory_xact_lock('ledger'::regclass::bigint);
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '^ledger_[0-9]{4}_[0-9]{2}$'
      AND c.relname < 'ledger_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM')
    ORDER BY 1
  LOOP
    EXECUTE format('DROP TABLE %I', part);
    dropped := dropped || part;
  END LOOP;
  DELETE FROM ledger_default WHERE admitted_at < first;
  RETURN dropped;
END
$$
"""

# Since `since` the engine has counted `input_tokens` and `output_tokens`, over any restart; `last_*` is what its counters said last.
ENGINE_COUNTERS = """
CREATE TABLE engine_counters (
  backend_id uuid NOT NULL REFERENCES backends (id),
  model text NOT NULL,
  since timestamptz NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  last_input bigint NOT NULL,
  last_output bigint NOT NULL,
  resets integer NOT NULL DEFAULT 0,
  read_at timestamptz NOT NULL,
  PRIMARY KEY (backend_id, model)
)
"""

SECURITY_EVENTS = """
CREATE TABLE security_events (
  id uuid PRIMARY KEY,
  minute timestamptz NOT NULL,
  status integer NOT NULL,
  code text NOT NULL,
  org_id uuid,
  credential text,
  address text,
  overflow boolean NOT NULL,
  requests bigint NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now()
)
"""

STATEMENTS = (
    *POSITIONS,
    DEAD_LETTERS,
    HISTOGRAM_ADD,
    HISTOGRAM_SUM,
    *(_ROLLUP.format(table=table) for table in _ROLLUPS),
    *(f"CREATE INDEX {table}_period ON {table} (period_start)" for table in _ROLLUPS),
    *(_BACKFILL.format(table=table, period=period) for table, period in _ROLLUPS.items()),
    LEDGER_DROP_BEFORE,
    "ALTER TABLE ledger DROP COLUMN epoch",  # the id tells when a request was admitted, and so which counter carries it
    ENGINE_COUNTERS,
    SECURITY_EVENTS,
    "CREATE INDEX security_events_org ON security_events (org_id, id)",
    "CREATE INDEX security_events_minute ON security_events (minute)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
