"""Limits of orgs, users and keys, budgets with their alerts, how a publication's tokens are held, and what the data plane reads of it all.

Limits are columns of what they limit, so that reading a credential costs no join more and the views of the version before stay right.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LIMITED = ("orgs", "users", "keys", "publications")

LIMITS = {
    "requests_per_minute": "integer",
    "requests_per_hour": "integer",
    "tokens_per_minute": "bigint",
    "tokens_per_hour": "bigint",
    "burst_limit": "integer",
    "concurrent_requests": "integer",
}

NAMES = ("requestsPerMinute", "requestsPerHour", "tokensPerMinute", "tokensPerHour", "concurrentRequests")
"""Limits that can be tried without being enforced."""

MODES = "'strict', 'balanced', 'lenient'"


def _add_limits(table: str) -> str:
    """Keys and publications have some of the columns already."""
    columns = [f"ADD COLUMN IF NOT EXISTS {name} {kind} CHECK ({name} >= 0)" for name, kind in LIMITS.items()]
    names = ", ".join(f"'{name}'" for name in NAMES)
    columns.append(f"ADD COLUMN dry_run text[] NOT NULL DEFAULT '{{}}' CHECK (dry_run <@ ARRAY[{names}])")
    if table != "publications":  # these have a version of their whole configuration
        columns.append("ADD COLUMN limits_version bigint NOT NULL DEFAULT 0")
    return f"ALTER TABLE {table} {', '.join(columns)}"


ORGS = f"""
ALTER TABLE orgs
  ADD COLUMN admission_mode text CHECK (admission_mode IN ({MODES})),
  ADD COLUMN outage_tokens bigint NOT NULL DEFAULT 0 CHECK (outage_tokens >= 0)
"""

PUBLICATIONS = f"""
ALTER TABLE publications
  ADD COLUMN admission_mode text NOT NULL DEFAULT 'balanced' CHECK (admission_mode IN ({MODES})),
  ADD COLUMN context_tokens bigint CHECK (context_tokens > 0),
  ADD COLUMN output_cap bigint CHECK (output_cap > 0),
  ADD COLUMN continuous_usage boolean NOT NULL DEFAULT false
"""

# A ceiling stands for itself, and caps the budget together with its increase. Versions come from one sequence, so that
# a budget that was deleted and made anew never has a version that somebody has read before.
BUDGETS = """
CREATE TABLE budgets (
  subject_id uuid NOT NULL,
  period text NOT NULL CHECK (period IN ('day', 'week', 'month')),
  scope text NOT NULL CHECK (scope IN ('org', 'user', 'key')),
  org_id uuid NOT NULL REFERENCES orgs (id),
  user_id uuid,
  tokens bigint CHECK (tokens >= 0),
  ceiling_tokens bigint CHECK (ceiling_tokens >= 0),
  extra_tokens bigint NOT NULL DEFAULT 0 CHECK (extra_tokens >= 0),
  extra_until timestamptz,
  thresholds integer[] NOT NULL DEFAULT '{50,80,100}',
  dry_run boolean NOT NULL DEFAULT false,
  version bigint NOT NULL DEFAULT nextval('budget_versions'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject_id, period),
  CONSTRAINT budgets_belong_to_a_user_of_their_org FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
  CONSTRAINT budgets_of_orgs_have_no_user CHECK ((scope = 'org') = (user_id IS NULL)),
  CONSTRAINT budgets_of_orgs_alone_have_a_ceiling CHECK (scope = 'org' OR ceiling_tokens IS NULL),
  CONSTRAINT budgets_say_how_much CHECK (tokens IS NOT NULL OR ceiling_tokens IS NOT NULL),
  CONSTRAINT budgets_increase_has_an_end CHECK ((extra_tokens = 0) = (extra_until IS NULL))
)
"""

BUDGET_ALERTS = """
CREATE TABLE budget_alerts (
  id uuid PRIMARY KEY,
  subject_id uuid NOT NULL,
  scope text NOT NULL,
  org_id uuid NOT NULL REFERENCES orgs (id),
  user_id uuid,
  period text NOT NULL,
  period_start timestamptz NOT NULL,
  threshold integer NOT NULL,
  tokens bigint NOT NULL,
  spent bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT budget_alerts_once UNIQUE (subject_id, period, period_start, threshold)
)
"""

MAX_TOKENS_PER_HOUR = 2_500_000_000
"""A token bucket holds `tokens * period` below 2^53. The version before took more, and may go on to for a while."""


def _limits(alias: str, budgets: bool) -> str:
    """The jsonb of `ias.gateway_views.ScopeLimits` for a row of a table with limits."""
    hourly = f"CASE WHEN {alias}.tokens_per_hour > {MAX_TOKENS_PER_HOUR} THEN {MAX_TOKENS_PER_HOUR} ELSE {alias}.tokens_per_hour END"
    fields = [
        f"'requestsPerMinute', {alias}.requests_per_minute",
        f"'requestsPerHour', {alias}.requests_per_hour",
        f"'tokensPerMinute', {alias}.tokens_per_minute",
        f"'tokensPerHour', {hourly}",
        f"'burstLimit', {alias}.burst_limit",
        f"'concurrentRequests', {alias}.concurrent_requests",
    ]
    dry_run = f"{alias}.dry_run"
    if budgets:
        dry_run += f" || ARRAY(SELECT 'budget:' || b.period FROM budgets b WHERE b.subject_id = {alias}.id AND b.dry_run ORDER BY 1)"
        fields.append(f"'budgets', (SELECT jsonb_agg({_BUDGET} ORDER BY b.period) FROM budgets b WHERE b.subject_id = {alias}.id)")
    fields.append(f"'dryRun', to_jsonb({dry_run})")
    return f"jsonb_strip_nulls(jsonb_build_object({', '.join(fields)}))"


# least() leaves nulls out: where only one of budget and ceiling is set, it is the one that counts.
_BUDGET = """jsonb_build_object(
    'period', b.period,
    'tokens', least(b.tokens, b.ceiling_tokens),
    'extraTokens', least(b.tokens + b.extra_tokens, b.ceiling_tokens) - least(b.tokens, b.ceiling_tokens),
    'extraUntilMs', coalesce(floor(extract(epoch FROM b.extra_until) * 1000)::bigint, 0))"""

# Limits are expressions of the select list, so that who asks for ids only does not pay for them.
GATEWAY_CREDENTIALS = f"""
CREATE VIEW gateway_credentials_v2 AS
SELECT
  c.credential_id,
  c.digest,
  c.pepper_version,
  c.valid_until,
  k.id::text AS key_id,
  k.status = 'active' AS key_active,
  k.expires_at AS key_expires_at,
  u.id::text AS user_id,
  u.status = 'active' AS user_active,
  o.id::text AS org_id,
  o.status = 'active' AS org_active,
  k.allowed_models,
  {_limits("k", budgets=True)} AS key_limits,
  {_limits("u", budgets=True)} AS user_limits,
  {_limits("o", budgets=True)} AS org_limits,
  o.admission_mode,
  o.outage_tokens
FROM credentials c
JOIN keys k ON k.id = c.key_id
JOIN users u ON u.id = k.user_id
JOIN orgs o ON o.id = k.org_id
WHERE c.revoked_at IS NULL AND (c.valid_until IS NULL OR c.valid_until > now()) AND k.status <> 'revoked'
"""

GATEWAY_PUBLICATIONS = f"""
CREATE VIEW gateway_publications_v2 AS
SELECT
  p.id::text AS publication_id,
  p.model,
  p.upstream_model,
  ARRAY(SELECT t.org_id::text FROM publication_tenants t WHERE t.publication_id = p.id ORDER BY 1) AS allowed_org_ids,
  p.created_at,
  {_limits("p", budgets=False)} AS limits,
  p.admission_mode,
  p.context_tokens,
  p.output_cap,
  p.continuous_usage
FROM publications p
WHERE p.status = 'published'
"""

# It runs with the rights of its owner: whoever may call it learns one sum and cannot read the ledger.
GATEWAY_SPENT = """
CREATE FUNCTION gateway_spent_v1(org uuid, scope text, "from" timestamptz, until timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  spent numeric;
BEGIN
  IF scope = 'org' THEN
    SELECT sum(l.input_tokens + l.output_tokens) INTO spent FROM ledger l
    WHERE l.org_id = org AND l.admitted_at >= "from" AND l.admitted_at < until;
  ELSIF scope LIKE 'user:%' THEN
    SELECT sum(l.input_tokens + l.output_tokens) INTO spent FROM ledger l
    WHERE l.org_id = org AND l.user_id = substr(scope, 6)::uuid AND l.admitted_at >= "from" AND l.admitted_at < until;
  ELSIF scope LIKE 'key:%' THEN
    SELECT sum(l.input_tokens + l.output_tokens) INTO spent FROM ledger l
    WHERE l.org_id = org AND l.key_id = substr(scope, 5)::uuid AND l.admitted_at >= "from" AND l.admitted_at < until;
  ELSE
    RAISE EXCEPTION 'a scope is org, user:<id> or key:<id>, not %', scope USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN least(coalesce(spent, 0), 9007199254740991);
END
$$
"""

STATEMENTS = (
    *(_add_limits(table) for table in LIMITED),
    f"UPDATE publications SET tokens_per_hour = {MAX_TOKENS_PER_HOUR} WHERE tokens_per_hour > {MAX_TOKENS_PER_HOUR}",
    ORGS,
    PUBLICATIONS,
    "CREATE SEQUENCE budget_versions",
    BUDGETS,
    "CREATE INDEX budgets_org ON budgets (org_id)",
    BUDGET_ALERTS,
    "CREATE INDEX budget_alerts_org ON budget_alerts (org_id, id)",
    GATEWAY_CREDENTIALS,
    GATEWAY_PUBLICATIONS,
    GATEWAY_SPENT,
    "REVOKE ALL ON FUNCTION gateway_spent_v1 FROM PUBLIC",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
