"""Rollups without users and keys: what an org used of each model, what it used in all, and what everybody used of each model."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_OF_A_MODEL = {"publication_id": "uuid", "model": "text", "endpoint": "text", "outcome": "text"}
_ORG = {"org_id": "uuid"}
_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
_HISTOGRAMS = {"durations": 13, "first_tokens": 14}
_ERRORS = "outcome IN ('upstream_error', 'lost')"

# Each with the rollup that it is filled from, and what it keeps apart. Writers go through the rollups of one period in this order.
QUARTER_HOURS = {
    "usage_org_model_quarter_hours": ("usage_quarter_hours", _ORG | _OF_A_MODEL),
    "usage_model_quarter_hours": ("usage_org_model_quarter_hours", _OF_A_MODEL),
}
DAYS = {
    "usage_org_model_days": ("usage_days", _ORG | _OF_A_MODEL),
    "usage_org_days": ("usage_org_model_days", _ORG),
    "usage_model_days": ("usage_org_model_days", _OF_A_MODEL),
}

_TABLE = """
CREATE TABLE {table} (
  period_start timestamptz NOT NULL,
  {dimensions},
  requests bigint NOT NULL,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  {errors}durations bigint[] NOT NULL,
  first_tokens bigint[] NOT NULL
)
"""


def _counts(dimensions: dict[str, str]) -> tuple[str, ...]:
    """Where outcomes are not kept apart, errors are counted."""
    return _COUNTS if "outcome" in dimensions else (*_COUNTS, "errors")


def _sums(dimensions: dict[str, str], sign: str = "") -> str:
    counts = (f"sum({sign}{name})" for name in _COUNTS)
    errors = () if "outcome" in dimensions else (f"coalesce(sum({sign}requests) FILTER (WHERE {_ERRORS}), 0)",)
    buckets = (", ".join(f"sum({sign}{name}[{place}])" for place in range(1, size + 1)) for name, size in _HISTOGRAMS.items())
    return ", ".join((*counts, *errors, *(f"ARRAY[{sums}]::bigint[]" for sums in buckets)))


def _key(dimensions: dict[str, str]) -> str:
    """An org's rows are asked for by the org, those of all by the period. Every writer locks rows in this order."""
    names = ["period_start", *dimensions]
    if "org_id" in dimensions:
        names[:2] = ["org_id", "period_start"]
    return ", ".join(names)


def _fill(table: str, source: str, dimensions: dict[str, str]) -> str:
    key = _key(dimensions)
    names = ", ".join((*_counts(dimensions), *_HISTOGRAMS))
    return f"INSERT INTO {table} ({key}, {names}) SELECT {key}, {_sums(dimensions)} FROM {source} GROUP BY {key}"


def _add(table: str, change: str, dimensions: dict[str, str]) -> str:
    key = _key(dimensions)
    names = ", ".join((*_counts(dimensions), *_HISTOGRAMS))
    added = [f"{name} = kept.{name} + excluded.{name}" for name in _counts(dimensions)]
    added += [f"{name} = histogram_add(kept.{name}, excluded.{name})" for name in _HISTOGRAMS]
    return f"""
  INSERT INTO {table} AS kept ({key}, {names})
  SELECT {key}, {_sums(dimensions, "sign * ")} FROM ({change}) AS change GROUP BY {key} ORDER BY {key}
  ON CONFLICT ({key}) DO UPDATE SET {", ".join(added)};"""


# A worker of the version before knows only the rollups by key: while it writes, these do for it what this version's worker does itself, and says
# so by a setting of its connection. They can go with the version after.
_CHANGES = {"insert": "SELECT 1 AS sign, * FROM added", "update": "SELECT 1 AS sign, * FROM added UNION ALL SELECT -1, * FROM removed"}
_TRANSITION = {"insert": "NEW TABLE AS added", "update": "OLD TABLE AS removed NEW TABLE AS added"}


def _follow(source: str, rollups: dict[str, tuple[str, dict[str, str]]], verb: str) -> tuple[str, str]:
    name = f"{source}_followed_on_{verb}"
    additions = "".join(_add(table, _CHANGES[verb], dimensions) for table, (_, dimensions) in rollups.items())
    function = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN{additions}
  RETURN NULL;
END
$$"""
    trigger = f"""
CREATE TRIGGER {name} AFTER {verb} ON {source} REFERENCING {_TRANSITION[verb]} FOR EACH STATEMENT
WHEN (current_setting('ias.writes_every_rollup', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION {name}()"""
    return function, trigger


def _statements() -> list[str]:
    # Nobody adds to the rollups between the fill and the first row that the triggers see: workers wait, and their events with them.
    found = ["LOCK TABLE usage_quarter_hours, usage_days IN SHARE ROW EXCLUSIVE MODE", "SET LOCAL work_mem = '256MB'"]
    for source, rollups in (("usage_quarter_hours", QUARTER_HOURS), ("usage_days", DAYS)):
        for table, (filled_from, dimensions) in rollups.items():
            columns = ",\n  ".join(f"{name} {kind} NOT NULL" for name, kind in dimensions.items())
            found.append(_TABLE.format(table=table, dimensions=columns, errors="" if "outcome" in dimensions else "errors bigint NOT NULL,\n  "))
            found += [_fill(table, filled_from, dimensions), f"ALTER TABLE {table} ADD PRIMARY KEY ({_key(dimensions)})"]
            if "org_id" in dimensions:
                found.append(f"CREATE INDEX {table}_period ON {table} (period_start)")
            found.append(f"ANALYZE {table}")
        for verb in _CHANGES:
            found += _follow(source, rollups, verb)
    return found


def upgrade() -> None:
    for statement in _statements():
        op.execute(statement)
