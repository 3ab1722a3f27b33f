"""Labels, versions and who disabled a key; requests for more; and what the data plane reads of a key's labels."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEYS = """
ALTER TABLE keys
  ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  ADD COLUMN version bigint NOT NULL DEFAULT 1,
  ADD COLUMN disabled_by uuid REFERENCES users (id)
"""

# `name` is the period of a budget or the name of a limit. Nobody has two open requests for the same.
QUOTA_REQUESTS = """
CREATE TABLE quota_requests (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES orgs (id),
  user_id uuid NOT NULL,
  scope text NOT NULL CHECK (scope IN ('org', 'user', 'key')),
  subject_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('budget', 'increase', 'limit')),
  name text NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  until timestamptz,
  reason text NOT NULL CHECK (reason <> ''),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired')),
  expires_at timestamptz NOT NULL,
  decided_by uuid REFERENCES users (id),
  decided_at timestamptz,
  granted_amount bigint CHECK (granted_amount > 0),
  granted_until timestamptz,
  answer text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT quota_requests_belong_to_a_user_of_their_org FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
  CONSTRAINT quota_requests_increases_have_an_end CHECK ((kind = 'increase') = (until IS NOT NULL)),
  CONSTRAINT quota_requests_are_decided_by_somebody CHECK ((state IN ('approved', 'rejected')) = (decided_by IS NOT NULL)),
  CONSTRAINT quota_requests_approval_says_how_much CHECK ((state = 'approved') = (granted_amount IS NOT NULL))
)
"""

# As in version 2, with the labels. The version before reads that one until it is replaced.
MAX_TOKENS_PER_HOUR = 2_500_000_000


def _limits(alias: str) -> str:
    """The jsonb of `ias.gateway_views.ScopeLimits` for a row of a table with limits and budgets."""
    hourly = f"CASE WHEN {alias}.tokens_per_hour > {MAX_TOKENS_PER_HOUR} THEN {MAX_TOKENS_PER_HOUR} ELSE {alias}.tokens_per_hour END"
    fields = [
        f"'requestsPerMinute', {alias}.requests_per_minute",
        f"'requestsPerHour', {alias}.requests_per_hour",
        f"'tokensPerMinute', {alias}.tokens_per_minute",
        f"'tokensPerHour', {hourly}",
        f"'burstLimit', {alias}.burst_limit",
        f"'concurrentRequests', {alias}.concurrent_requests",
    ]
    dry_run = f"{alias}.dry_run || ARRAY(SELECT 'budget:' || b.period FROM budgets b WHERE b.subject_id = {alias}.id AND b.dry_run ORDER BY 1)"
    fields.append(f"'budgets', (SELECT jsonb_agg({_BUDGET} ORDER BY b.period) FROM budgets b WHERE b.subject_id = {alias}.id)")
    fields.append(f"'dryRun', to_jsonb({dry_run})")
    return f"jsonb_strip_nulls(jsonb_build_object({', '.join(fields)}))"


_BUDGET = """jsonb_build_object(
    'period', b.period,
    'tokens', least(b.tokens, b.ceiling_tokens),
    'extraTokens', least(b.tokens + b.extra_tokens, b.ceiling_tokens) - least(b.tokens, b.ceiling_tokens),
    'extraUntilMs', coalesce(floor(extract(epoch FROM b.extra_until) * 1000)::bigint, 0))"""

GATEWAY_CREDENTIALS = f"""
CREATE VIEW gateway_credentials_v3 AS
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
  {_limits("k")} AS key_limits,
  {_limits("u")} AS user_limits,
  {_limits("o")} AS org_limits,
  o.admission_mode,
  o.outage_tokens,
  k.labels
FROM credentials c
JOIN keys k ON k.id = c.key_id
JOIN users u ON u.id = k.user_id
JOIN orgs o ON o.id = k.org_id
WHERE c.revoked_at IS NULL AND (c.valid_until IS NULL OR c.valid_until > now()) AND k.status <> 'revoked'
"""

STATEMENTS = (
    KEYS,
    "CREATE INDEX keys_labels ON keys USING gin (labels)",
    "CREATE INDEX keys_org_newest ON keys (org_id, id)",
    "CREATE INDEX keys_user_newest ON keys (user_id, id)",
    "DROP INDEX keys_org",
    "DROP INDEX keys_user",
    QUOTA_REQUESTS,
    "CREATE UNIQUE INDEX quota_requests_asked_once ON quota_requests (user_id, subject_id, kind, name) WHERE state = 'open'",
    "CREATE INDEX quota_requests_org ON quota_requests (org_id, id)",
    "CREATE INDEX quota_requests_user ON quota_requests (user_id, id)",
    GATEWAY_CREDENTIALS,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
