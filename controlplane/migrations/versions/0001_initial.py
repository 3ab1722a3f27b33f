"""The first schema: accounts, keys, publications, audit, ledger, change log and the views of the data plane.

Nothing that the ledger refers to is ever deleted: rows end with a status (a tombstone), and names are unique only among
the living, so that a name can be used again. Ids are UUIDv7 made by the application: their order is the order of creation.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORGS = """
CREATE TABLE orgs (
  id uuid PRIMARY KEY,
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text NOT NULL CHECK (name <> ''),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deleted')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
)
"""

USERS = """
CREATE TABLE users (
  id uuid PRIMARY KEY,
  org_id uuid REFERENCES orgs (id),
  username text NOT NULL CHECK (username <> ''),
  email text,
  role text NOT NULL CHECK (role IN ('system_admin', 'org_admin', 'org_user', 'service')),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'deleted')),
  password_hash text,
  token_generation integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT users_only_system_admins_have_no_org CHECK ((role = 'system_admin') = (org_id IS NULL)),
  CONSTRAINT users_services_have_no_password CHECK (role <> 'service' OR password_hash IS NULL),
  CONSTRAINT users_org_id_id UNIQUE (org_id, id)
)
"""

BACKENDS = """
CREATE TABLE backends (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  base_url text NOT NULL CHECK (base_url ~ '^https?://'),
  kind text NOT NULL,
  health text NOT NULL DEFAULT 'unknown' CHECK (health IN ('healthy', 'unhealthy', 'unknown')),
  health_reason text,
  models text[] NOT NULL DEFAULT '{}',
  checked_at timestamptz,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deleted')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
)
"""

PUBLICATIONS = """
CREATE TABLE publications (
  id uuid PRIMARY KEY,
  model text NOT NULL CHECK (model <> ''),
  org_id uuid NOT NULL REFERENCES orgs (id),
  model_type text NOT NULL CHECK (model_type IN ('openai', 'traditional')),
  public_hostname text,
  external_path text,
  upstream_model text NOT NULL CHECK (upstream_model <> ''),
  backend_id uuid NOT NULL REFERENCES backends (id),
  requests_per_minute integer CHECK (requests_per_minute >= 0),
  requests_per_hour integer CHECK (requests_per_hour >= 0),
  tokens_per_hour bigint CHECK (tokens_per_hour >= 0),
  burst_limit integer CHECK (burst_limit >= 0),
  require_api_key boolean NOT NULL DEFAULT true,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'published', 'failed', 'deleted')),
  status_reason text,
  version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
)
"""

PUBLICATION_TENANTS = """
CREATE TABLE publication_tenants (
  publication_id uuid NOT NULL REFERENCES publications (id),
  org_id uuid NOT NULL REFERENCES orgs (id),
  PRIMARY KEY (publication_id, org_id)
)
"""

KEYS = """
CREATE TABLE keys (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES orgs (id),
  user_id uuid NOT NULL,
  name text NOT NULL CHECK (name <> ''),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'revoked')),
  expires_at timestamptz,
  allowed_models text[] NOT NULL DEFAULT '{}',
  requests_per_minute integer CHECK (requests_per_minute >= 0),
  burst_limit integer CHECK (burst_limit >= 0),
  publication_id uuid REFERENCES publications (id),
  last_used_at timestamptz,
  created_by uuid REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT keys_belong_to_a_user_of_their_org FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id)
)
"""

CREDENTIALS = """
CREATE TABLE credentials (
  credential_id text COLLATE "C" PRIMARY KEY CHECK (credential_id ~ '^[0-9A-Za-z]{8}$'),
  key_id uuid NOT NULL REFERENCES keys (id),
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  pepper_version integer NOT NULL,
  hint text NOT NULL,
  valid_until timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
)
"""

AUDIT_LOG = """
CREATE TABLE audit_log (
  id uuid PRIMARY KEY,
  timestamp timestamptz NOT NULL DEFAULT now(),
  org_id uuid REFERENCES orgs (id),
  user_id_performing_action uuid REFERENCES users (id),
  action_type text NOT NULL CHECK (action_type <> ''),
  payload jsonb NOT NULL DEFAULT '{}',
  outcome text NOT NULL CHECK (outcome IN ('ok', 'denied', 'failed')),
  request_id text,
  client_address text
)
"""

# No foreign keys: an event tells what happened, and the ledger takes it whatever the other tables say by then.
LEDGER = """
CREATE TABLE ledger (
  admitted_at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  epoch bigint NOT NULL,
  org_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key_id uuid NOT NULL,
  publication_id uuid NOT NULL,
  model text NOT NULL,
  upstream_model text NOT NULL,
  endpoint text NOT NULL,
  stream boolean NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('complete', 'client_abort', 'upstream_error', 'lost')),
  http_status integer NOT NULL,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  usage_source text NOT NULL CHECK (usage_source IN ('reported', 'counted', 'estimated')),
  held_tokens bigint NOT NULL,
  time_to_first_token_ms bigint,
  duration_ms bigint NOT NULL,
  ended_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  request_id text NOT NULL,
  tags jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (admitted_at, event_id)
) PARTITION BY RANGE (admitted_at)
"""

# A month that gets its partition late takes over the rows that the default partition has kept for it.
LEDGER_ADD_MONTH = """
CREATE FUNCTION ledger_add_month(month timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first timestamptz := date_trunc('month', month, 'UTC');
  next timestamptz := (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
  part text := 'ledger_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
  PERFORM pg_advisory_xact_lock('ledger'::regclass::bigint);
  IF to_regclass(part) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
  EXECUTE format(
    'WITH moved AS (DELETE FROM ledger_default WHERE admitted_at >= %L AND admitted_at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
    first, next, part);
  EXECUTE format('ALTER TABLE ledger ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, first, next);
END
$$
"""

SPOOL_OFFSETS = """
CREATE TABLE spool_offsets (
  spool text PRIMARY KEY,
  segment bigint NOT NULL CHECK (segment >= 0),
  byte_offset bigint NOT NULL CHECK (byte_offset >= 0),
  updated_at timestamptz NOT NULL DEFAULT now()
)
"""

CHANGE_EPOCH = """
CREATE TABLE change_epoch (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  epoch uuid NOT NULL DEFAULT gen_random_uuid()
)
"""

CHANGE_LOG = """
CREATE TABLE change_log (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  id text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
)
"""

GATEWAY_CREDENTIALS = """
CREATE VIEW gateway_credentials_v1 AS
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
  k.requests_per_minute,
  k.burst_limit
FROM credentials c
JOIN keys k ON k.id = c.key_id
JOIN users u ON u.id = k.user_id
JOIN orgs o ON o.id = k.org_id
WHERE c.revoked_at IS NULL AND (c.valid_until IS NULL OR c.valid_until > now()) AND k.status <> 'revoked'
"""

GATEWAY_PUBLICATIONS = """
CREATE VIEW gateway_publications_v1 AS
SELECT
  p.id::text AS publication_id,
  p.model,
  p.upstream_model,
  ARRAY(SELECT t.org_id::text FROM publication_tenants t WHERE t.publication_id = p.id ORDER BY 1) AS allowed_org_ids,
  p.created_at,
  p.requests_per_minute,
  p.requests_per_hour,
  p.burst_limit
FROM publications p
WHERE p.status = 'published'
"""

STATEMENTS = (
    ORGS,
    "CREATE UNIQUE INDEX orgs_slug ON orgs (slug) WHERE status <> 'deleted'",
    USERS,
    "CREATE UNIQUE INDEX users_username ON users (lower(username)) WHERE status <> 'deleted'",
    "CREATE UNIQUE INDEX users_one_service_per_org ON users (org_id) WHERE role = 'service' AND status <> 'deleted'",
    BACKENDS,
    "CREATE UNIQUE INDEX backends_name ON backends (name) WHERE status <> 'deleted'",
    PUBLICATIONS,
    "CREATE UNIQUE INDEX publications_model ON publications (model) WHERE status <> 'deleted'",
    "CREATE INDEX publications_org ON publications (org_id)",
    "CREATE INDEX publications_backend ON publications (backend_id)",
    PUBLICATION_TENANTS,
    "CREATE INDEX publication_tenants_org ON publication_tenants (org_id)",
    KEYS,
    "CREATE INDEX keys_org ON keys (org_id)",
    "CREATE INDEX keys_user ON keys (user_id)",
    "CREATE INDEX keys_publication ON keys (publication_id) WHERE publication_id IS NOT NULL",
    CREDENTIALS,
    "CREATE INDEX credentials_key ON credentials (key_id)",
    AUDIT_LOG,
    "CREATE INDEX audit_log_org ON audit_log (org_id, id)",
    LEDGER,
    "CREATE INDEX ledger_org ON ledger (org_id, admitted_at)",
    "CREATE INDEX ledger_publication ON ledger (publication_id, admitted_at)",
    "CREATE INDEX ledger_key ON ledger (key_id, admitted_at)",
    "CREATE INDEX ledger_request ON ledger (request_id)",
    "CREATE TABLE ledger_default PARTITION OF ledger DEFAULT",
    LEDGER_ADD_MONTH,
    "SELECT ledger_add_month(now()), ledger_add_month(now() + interval '1 month')",
    SPOOL_OFFSETS,
    CHANGE_EPOCH,
    "INSERT INTO change_epoch DEFAULT VALUES",
    CHANGE_LOG,
    "CREATE VIEW gateway_epoch_v1 AS SELECT epoch FROM change_epoch",
    "CREATE VIEW gateway_changes_v1 AS SELECT seq, kind, id FROM change_log",
    GATEWAY_CREDENTIALS,
    GATEWAY_PUBLICATIONS,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
