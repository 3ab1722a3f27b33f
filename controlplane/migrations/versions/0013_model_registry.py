"""The model registry: catalog, prices and history, approvals with their rules, requests for access; and what of it the gateway enforces."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# UUIDv7 (RFC 9562 §5.7) for rows that the database makes itself: as `controlplane.ids`, so that ids are in order of creation.
NEW_ROW_ID = """
CREATE FUNCTION new_row_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$
"""

# What the backend told, what a person has set instead (null: nothing), and what holds. Discovery never writes what a person has set.
CATALOG_MODELS = """
CREATE TABLE catalog_models (
  id uuid PRIMARY KEY,
  backend_id uuid NOT NULL REFERENCES backends (id),
  upstream_model text NOT NULL CHECK (upstream_model <> ''),
  told_capabilities text[] NOT NULL DEFAULT '{}',
  told_modalities text[] NOT NULL DEFAULT '{}',
  told_context_tokens bigint CHECK (told_context_tokens > 0),
  told_output_tokens bigint CHECK (told_output_tokens > 0),
  set_capabilities text[],
  set_modalities text[],
  set_context_tokens bigint CHECK (set_context_tokens > 0),
  set_output_tokens bigint CHECK (set_output_tokens > 0),
  capabilities text[] NOT NULL GENERATED ALWAYS AS (coalesce(set_capabilities, told_capabilities)) STORED,
  modalities text[] NOT NULL GENERATED ALWAYS AS (coalesce(set_modalities, told_modalities)) STORED,
  context_tokens bigint GENERATED ALWAYS AS (coalesce(set_context_tokens, told_context_tokens)) STORED,
  output_tokens bigint GENERATED ALWAYS AS (coalesce(set_output_tokens, told_output_tokens)) STORED,
  metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deprecated')),
  missed integer NOT NULL DEFAULT 0 CHECK (missed >= 0),
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT catalog_models_once UNIQUE (backend_id, upstream_model)
)
"""

# An alias is a name of one model in the whole catalog.
CATALOG_ALIASES = """
CREATE TABLE catalog_aliases (
  alias text NOT NULL CONSTRAINT catalog_aliases_once PRIMARY KEY CHECK (alias <> ''),
  catalog_model_id uuid NOT NULL REFERENCES catalog_models (id) ON DELETE CASCADE
)
"""

# `changes`: {"contextTokens": [before, after], …}. Nobody's (user_id is null): discovery found it.
CATALOG_CHANGES = """
CREATE TABLE catalog_changes (
  id uuid PRIMARY KEY,
  catalog_model_id uuid NOT NULL REFERENCES catalog_models (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('updated', 'deprecated', 'returned', 'edited')),
  changes jsonb NOT NULL DEFAULT '{}',
  user_id uuid REFERENCES users (id),
  at timestamptz NOT NULL DEFAULT now()
)
"""

# Per million tokens, in units of the currency.
CATALOG_PRICES = """
CREATE TABLE catalog_prices (
  catalog_model_id uuid NOT NULL REFERENCES catalog_models (id) ON DELETE CASCADE,
  valid_from timestamptz NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  input numeric(18, 6) NOT NULL CHECK (input >= 0),
  cached_input numeric(18, 6) CHECK (cached_input >= 0),
  output numeric(18, 6) NOT NULL CHECK (output >= 0),
  set_by uuid REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (catalog_model_id, valid_from)
)
"""

# No row: pending, unless a rule approves (docs/decisions/0019).
MODEL_APPROVALS = """
CREATE TABLE model_approvals (
  org_id uuid NOT NULL REFERENCES orgs (id),
  catalog_model_id uuid NOT NULL REFERENCES catalog_models (id),
  state text NOT NULL CHECK (state IN ('approved', 'rejected', 'revoked')),
  reason text,
  decided_by uuid NOT NULL REFERENCES users (id),
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (org_id, catalog_model_id)
)
"""

# `like_pattern` means to LIKE what `pattern` means to `ias.model_patterns`.
APPROVAL_RULES = r"""
CREATE TABLE approval_rules (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES orgs (id),
  backend_id uuid REFERENCES backends (id),
  pattern text NOT NULL CHECK (pattern <> ''),
  like_pattern text NOT NULL GENERATED ALWAYS AS
    (replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')) STORED,
  created_by uuid REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_by uuid REFERENCES users (id),
  ended_at timestamptz
)
"""

ACCESS_REQUESTS = """
CREATE TABLE access_requests (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES orgs (id),
  user_id uuid NOT NULL,
  catalog_model_id uuid NOT NULL REFERENCES catalog_models (id),
  reason text NOT NULL CHECK (reason <> ''),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired')),
  expires_at timestamptz NOT NULL,
  decided_by uuid REFERENCES users (id),
  decided_at timestamptz,
  answer text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT access_requests_belong_to_a_user_of_their_org FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
  CONSTRAINT access_requests_are_decided_by_somebody CHECK ((state IN ('approved', 'rejected')) = (decided_by IS NOT NULL))
)
"""

# The backends that a publication goes to. Targets without its own backend are not meant: the version before, which knows that one only, moved it.
PUBLICATION_BACKENDS = """
CREATE VIEW publication_backends AS
SELECT p.id AS publication_id, coalesce(t.backend_id, p.backend_id) AS backend_id, p.upstream_model
FROM publications p
LEFT JOIN publication_targets t ON t.publication_id = p.id
  AND EXISTS (SELECT FROM publication_targets own WHERE own.publication_id = p.id AND own.backend_id = p.backend_id)
"""

# Whoever publishes a model knows it, before discovery does and whatever version of the service he is. The argument names the publication's id.
PUBLICATIONS_INTO_CATALOG = """
CREATE FUNCTION publications_into_catalog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO catalog_models (id, backend_id, upstream_model, first_seen_at, last_seen_at)
  SELECT new_row_id(), p.backend_id, p.upstream_model, now(), now() FROM publication_backends p
  WHERE p.publication_id = (to_jsonb(NEW) ->> TG_ARGV[0])::uuid
  ON CONFLICT ON CONSTRAINT catalog_models_once DO NOTHING;
  RETURN NULL;
END
$$
"""

PUBLICATIONS_TRIGGER = """
CREATE TRIGGER publications_into_catalog AFTER INSERT OR UPDATE OF backend_id, upstream_model ON publications
FOR EACH ROW EXECUTE FUNCTION publications_into_catalog('id')
"""

TARGETS_TRIGGER = """
CREATE TRIGGER publications_into_catalog AFTER INSERT ON publication_targets
FOR EACH ROW EXECUTE FUNCTION publications_into_catalog('publication_id')
"""

# A new org approves all of every backend, whatever version of the service makes it; IAS_NEW_ORG_APPROVAL=manual takes the rule away again.
ORGS_APPROVE_ALL = """
CREATE FUNCTION orgs_approve_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO approval_rules (id, org_id, pattern) VALUES (new_row_id(), NEW.id, '*');
  RETURN NULL;
END
$$
"""

FILL = (
    """
    INSERT INTO catalog_models (id, backend_id, upstream_model, first_seen_at, last_seen_at)
    SELECT new_row_id(), b.id, told.model, coalesce(b.checked_at, now()), coalesce(b.checked_at, now())
    FROM backends b CROSS JOIN LATERAL (SELECT DISTINCT unnest(b.models) AS model) told WHERE b.status <> 'deleted' AND told.model <> ''
    """,
    """
    INSERT INTO catalog_models (id, backend_id, upstream_model, first_seen_at, last_seen_at)
    SELECT new_row_id(), b.backend_id, b.upstream_model, min(p.created_at), now()
    FROM publication_backends b JOIN publications p ON p.id = b.publication_id
    WHERE p.status <> 'deleted' GROUP BY b.backend_id, b.upstream_model
    ON CONFLICT ON CONSTRAINT catalog_models_once DO NOTHING
    """,
    "INSERT INTO approval_rules (id, org_id, pattern) SELECT new_row_id(), o.id, '*' FROM orgs o WHERE o.status <> 'deleted'",
)

# One row for each backend that a publication goes to; a model that the catalog does not know has no id, and is approved by nobody.
PUBLICATION_MODELS = """
CREATE VIEW publication_models AS
SELECT p.publication_id, p.backend_id, m.id AS catalog_model_id, m.status, m.context_tokens
FROM publication_backends p
LEFT JOIN catalog_models m ON m.backend_id = p.backend_id AND m.upstream_model = p.upstream_model
"""

# What `controlplane.approvals.rules` says, for every org and model.
MODEL_APPROVAL_STATES = """
CREATE VIEW model_approval_states AS
SELECT
  o.id AS org_id,
  m.id AS catalog_model_id,
  coalesce(a.state, CASE WHEN EXISTS (
    SELECT FROM approval_rules r
    WHERE r.org_id = o.id
      AND (r.backend_id IS NULL OR r.backend_id = m.backend_id)
      AND (r.ended_at IS NULL OR r.ended_at > m.first_seen_at)
      AND m.upstream_model LIKE r.like_pattern
  ) THEN 'approved' ELSE 'pending' END) AS state,
  a.reason,
  a.decided_by,
  a.decided_at
FROM orgs o
CROSS JOIN catalog_models m
LEFT JOIN model_approvals a ON a.org_id = o.id AND a.catalog_model_id = m.id
"""

# The control plane's part of access: every version of the gateway's view asks this one.
PUBLICATION_ACCESS = """
CREATE OR REPLACE VIEW publication_access AS
SELECT t.publication_id, t.org_id
FROM publication_tenants t
WHERE EXISTS (SELECT FROM publication_models c WHERE c.publication_id = t.publication_id AND c.status = 'active')
  AND NOT EXISTS (
    SELECT FROM publication_models c
    WHERE c.publication_id = t.publication_id
      AND NOT EXISTS (
        SELECT FROM model_approval_states s
        WHERE s.org_id = t.org_id AND s.catalog_model_id = c.catalog_model_id AND s.state = 'approved'
      )
  )
"""

# Where the publication does not say how long a prompt may be, the catalog does; the rest of the view stays as it is.
CONTEXT_FROM_CATALOG = """
DO $$
DECLARE
  was text := pg_get_viewdef('gateway_publications_v3');
BEGIN
  IF position(' p.context_tokens,' IN was) = 0 THEN
    RAISE EXCEPTION 'the view has no p.context_tokens';
  END IF;
  EXECUTE 'CREATE OR REPLACE VIEW gateway_publications_v3 AS ' || replace(was, ' p.context_tokens,',
    ' coalesce(p.context_tokens, (SELECT min(c.context_tokens) FROM publication_models c WHERE c.publication_id = p.id)) AS context_tokens,');
END
$$
"""

STATEMENTS = (
    NEW_ROW_ID,
    CATALOG_MODELS,
    "CREATE INDEX catalog_models_named ON catalog_models (upstream_model)",
    CATALOG_ALIASES,
    "CREATE INDEX catalog_aliases_model ON catalog_aliases (catalog_model_id)",
    CATALOG_CHANGES,
    "CREATE INDEX catalog_changes_model ON catalog_changes (catalog_model_id, id)",
    CATALOG_PRICES,
    MODEL_APPROVALS,
    "CREATE INDEX model_approvals_model ON model_approvals (catalog_model_id)",
    APPROVAL_RULES,
    "CREATE INDEX approval_rules_org ON approval_rules (org_id, id)",
    ACCESS_REQUESTS,
    "CREATE UNIQUE INDEX access_requests_asked_once ON access_requests (user_id, catalog_model_id) WHERE state = 'open'",
    "CREATE INDEX access_requests_org ON access_requests (org_id, id)",
    "CREATE INDEX access_requests_user ON access_requests (user_id, id)",
    PUBLICATION_BACKENDS,
    *FILL,
    PUBLICATIONS_INTO_CATALOG,
    PUBLICATIONS_TRIGGER,
    TARGETS_TRIGGER,
    ORGS_APPROVE_ALL,
    "CREATE TRIGGER orgs_approve_all AFTER INSERT ON orgs FOR EACH ROW EXECUTE FUNCTION orgs_approve_all()",
    PUBLICATION_MODELS,
    MODEL_APPROVAL_STATES,
    PUBLICATION_ACCESS,
    CONTEXT_FROM_CATALOG,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
