"""Rollups by the hour, of an org and of everybody: a month by the hour is a row for each point, and not one for each model and outcome."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
_HISTOGRAMS = {"durations": 13, "first_tokens": 14}

# Each with the rollup that it is a sum of, and its key. A writer goes from the one to the other at once, as the triggers do for one of the
# version before: both lock rows in the same order.
ROLLUPS = {
    "usage_org_hours": ("usage_org_model_quarter_hours", ("org_id", "period_start")),
    "usage_hours": ("usage_model_quarter_hours", ("period_start",)),
}

_TABLE = """
CREATE TABLE {table} (
  period_start timestamptz NOT NULL,
  {org}requests bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  errors bigint NOT NULL,
  durations bigint[] NOT NULL,
  first_tokens bigint[] NOT NULL
)
"""
_NAMES = ", ".join((*_COUNTS, "errors", *_HISTOGRAMS))


def _select(key: tuple[str, ...], source: str, sign: str = "") -> str:
    """The sums of rows of quarter hours."""
    period = "date_bin('1 hour', period_start, timestamptz '2001-01-01Z')"
    keys = ", ".join(period if name == "period_start" else name for name in key)
    counts = ", ".join(f"sum({sign}{name})" for name in _COUNTS)
    errors = f"coalesce(sum({sign}requests) FILTER (WHERE outcome IN ('upstream_error', 'lost')), 0)"
    buckets = (", ".join(f"sum({sign}{name}[{place}])" for place in range(1, size + 1)) for name, size in _HISTOGRAMS.items())
    places = ", ".join(str(place) for place in range(1, len(key) + 1))
    return f"SELECT {keys}, {counts}, {errors}, {', '.join(f'ARRAY[{sums}]::bigint[]' for sums in buckets)} FROM {source} GROUP BY {places}"


_CHANGES = {"insert": "SELECT 1 AS sign, * FROM added", "update": "SELECT 1 AS sign, * FROM added UNION ALL SELECT -1, * FROM removed"}
_TRANSITION = {"insert": "NEW TABLE AS added", "update": "OLD TABLE AS removed NEW TABLE AS added"}


def _follow(table: str, source: str, key: tuple[str, ...], verb: str) -> tuple[str, str]:
    """A writer says by a setting of its connection up to which revision it knows the rollups; the newer ones are written for it."""
    name = f"{table}_followed_on_{verb}"
    keys = ", ".join(key)
    added = [f"{one} = kept.{one} + excluded.{one}" for one in (*_COUNTS, "errors")]
    added += [f"{one} = histogram_add(kept.{one}, excluded.{one})" for one in _HISTOGRAMS]
    change = _select(key, f"({_CHANGES[verb]}) AS change", "sign * ")
    function = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO {table} AS kept ({keys}, {_NAMES})
  {change} ORDER BY {", ".join(str(place) for place in range(1, len(key) + 1))}
  ON CONFLICT ({keys}) DO UPDATE SET {", ".join(added)};
  RETURN NULL;
END
$$"""
    trigger = f"""
CREATE TRIGGER {name} AFTER {verb} ON {source} REFERENCING {_TRANSITION[verb]} FOR EACH STATEMENT
WHEN (coalesce(current_setting('ias.writes_rollups_of', true), '') < '{revision}') EXECUTE FUNCTION {name}()"""
    return function, trigger


def _statements() -> list[str]:
    # Nobody adds to the rollups between the fill and the first row that the triggers see: workers wait, and their events with them.
    sources = ", ".join(source for source, _ in ROLLUPS.values())
    found = [f"LOCK TABLE {sources} IN SHARE ROW EXCLUSIVE MODE", "SET LOCAL work_mem = '256MB'"]
    for table, (source, key) in ROLLUPS.items():
        found.append(_TABLE.format(table=table, org="org_id uuid NOT NULL,\n  " if "org_id" in key else ""))
        found.append(f"INSERT INTO {table} ({', '.join(key)}, {_NAMES}) {_select(key, source)}")
        found += [f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(key)})", f"ANALYZE {table}"]
        for verb in _CHANGES:
            found += _follow(table, source, key, verb)
    return found


def upgrade() -> None:
    for statement in _statements():
        op.execute(statement)
