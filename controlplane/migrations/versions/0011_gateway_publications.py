"""What the data plane needs of traditional models, hostnames and paths; and one place that says who may use a publication.

Version 3 of the view adds the protocol, whether a key is needed, hostname and path, and the owner, whose limits hold for
requests without a key. Versions 1 and 2 stay for readers of the versions before.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Every version of the view asks this one, so that a new condition of access is written once.
ACCESS = """
CREATE VIEW publication_access AS
SELECT t.publication_id, t.org_id FROM publication_tenants t
"""

ALLOWED_ORG_IDS = "ARRAY(SELECT a.org_id::text FROM publication_access a WHERE a.publication_id = p.id ORDER BY 1)"

GATEWAY_PUBLICATIONS_1 = f"""
CREATE OR REPLACE VIEW gateway_publications_v1 AS
SELECT
  p.id::text AS publication_id,
  p.model,
  p.upstream_model,
  {ALLOWED_ORG_IDS} AS allowed_org_ids,
  p.created_at,
  p.requests_per_minute,
  p.requests_per_hour,
  p.burst_limit
FROM publications p
WHERE p.status = 'published'
"""

# A token bucket holds `tokens * period` below 2^53, as in version 2.
MAX_TOKENS_PER_HOUR = 2_500_000_000


def _limits(alias: str) -> str:
    """The jsonb of `ias.gateway_views.ScopeLimits` for a row of a table with limits."""
    hourly = f"CASE WHEN {alias}.tokens_per_hour > {MAX_TOKENS_PER_HOUR} THEN {MAX_TOKENS_PER_HOUR} ELSE {alias}.tokens_per_hour END"
    return f"""jsonb_strip_nulls(jsonb_build_object(
    'requestsPerMinute', {alias}.requests_per_minute,
    'requestsPerHour', {alias}.requests_per_hour,
    'tokensPerMinute', {alias}.tokens_per_minute,
    'tokensPerHour', {hourly},
    'burstLimit', {alias}.burst_limit,
    'concurrentRequests', {alias}.concurrent_requests,
    'dryRun', to_jsonb({alias}.dry_run)))"""


_COLUMNS_OF_VERSION_2 = f"""
  p.id::text AS publication_id,
  p.model,
  p.upstream_model,
  {ALLOWED_ORG_IDS} AS allowed_org_ids,
  p.created_at,
  {_limits("p")} AS limits,
  p.admission_mode,
  p.context_tokens,
  p.output_cap,
  p.continuous_usage"""

GATEWAY_PUBLICATIONS_2 = f"""
CREATE OR REPLACE VIEW gateway_publications_v2 AS
SELECT {_COLUMNS_OF_VERSION_2}
FROM publications p
WHERE p.status = 'published'
"""

# Budgets are of tokens, and a request without a key has none: the owner's other limits are what holds for it.
GATEWAY_PUBLICATIONS_3 = f"""
CREATE VIEW gateway_publications_v3 AS
SELECT {_COLUMNS_OF_VERSION_2},
  p.model_type,
  p.require_api_key,
  p.public_hostname,
  p.external_path,
  o.id::text AS owner_org_id,
  o.status = 'active' AS owner_active,
  {_limits("o")} AS owner_limits
FROM publications p
JOIN orgs o ON o.id = p.org_id
WHERE p.status = 'published'
"""

STATEMENTS = (ACCESS, GATEWAY_PUBLICATIONS_1, GATEWAY_PUBLICATIONS_2, GATEWAY_PUBLICATIONS_3)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
