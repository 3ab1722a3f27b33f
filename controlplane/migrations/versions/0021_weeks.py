"""What each org used by the week: who used the most in a month is told by some weeks and days of each, and not by thirty days."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "errors")
_HISTOGRAMS = {"durations": 13, "first_tokens": 14}
_NAMES = ", ".join(("org_id", "period_start", *_COUNTS, *_HISTOGRAMS))

_TABLE = """
CREATE TABLE usage_org_weeks (
  period_start timestamptz NOT NULL,
  org_id uuid NOT NULL,
  requests bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  errors bigint NOT NULL,
  durations bigint[] NOT NULL,
  first_tokens bigint[] NOT NULL
)
"""


def _select(source: str, sign: str = "") -> str:
    """The sums of rows of days; 2001 began on a Monday."""
    counts = ", ".join(f"sum({sign}{name})" for name in _COUNTS)
    buckets = (", ".join(f"sum({sign}{name}[{place}])" for place in range(1, size + 1)) for name, size in _HISTOGRAMS.items())
    arrays = ", ".join(f"ARRAY[{sums}]::bigint[]" for sums in buckets)
    return f"SELECT org_id, date_bin('7 days', period_start, timestamptz '2001-01-01Z'), {counts}, {arrays} FROM {source} GROUP BY 1, 2 ORDER BY 1, 2"


_CHANGES = {"insert": "SELECT 1 AS sign, * FROM added", "update": "SELECT 1 AS sign, * FROM added UNION ALL SELECT -1, * FROM removed"}
_TRANSITION = {"insert": "NEW TABLE AS added", "update": "OLD TABLE AS removed NEW TABLE AS added"}


def _follow(verb: str) -> tuple[str, str]:
    """For writers that do not know this rollup, as in 0020."""
    name = f"usage_org_weeks_followed_on_{verb}"
    added = [f"{one} = kept.{one} + excluded.{one}" for one in _COUNTS]
    added += [f"{one} = histogram_add(kept.{one}, excluded.{one})" for one in _HISTOGRAMS]
    function = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO usage_org_weeks AS kept ({_NAMES})
  {_select(f"({_CHANGES[verb]}) AS change", "sign * ")}
  ON CONFLICT (org_id, period_start) DO UPDATE SET {", ".join(added)};
  RETURN NULL;
END
$$"""
    trigger = f"""
CREATE TRIGGER {name} AFTER {verb} ON usage_org_days REFERENCING {_TRANSITION[verb]} FOR EACH STATEMENT
WHEN (coalesce(current_setting('ias.writes_rollups_of', true), '') < '{revision}') EXECUTE FUNCTION {name}()"""
    return function, trigger


def upgrade() -> None:
    # Nobody adds to the days between the fill and the first row that the triggers see: workers wait, and their events with them.
    op.execute("LOCK TABLE usage_org_days IN SHARE ROW EXCLUSIVE MODE")
    op.execute(_TABLE)
    op.execute(f"INSERT INTO usage_org_weeks ({_NAMES}) {_select('usage_org_days')}")
    op.execute("ALTER TABLE usage_org_weeks ADD PRIMARY KEY (org_id, period_start)")
    op.execute("CREATE INDEX usage_org_weeks_period ON usage_org_weeks (period_start)")
    op.execute("ANALYZE usage_org_weeks")
    for verb in _CHANGES:
        for statement in _follow(verb):
            op.execute(statement)
