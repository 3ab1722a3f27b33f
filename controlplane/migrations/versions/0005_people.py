"""Sessions, back-off of sign-in, password resets, invites; orgs that are being deleted; several service accounts in one org.

Secrets that people hold (cookies, links) are stored as their SHA-256: 256 random bits need no slow hash.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SESSIONS = """
CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  kind text NOT NULL CHECK (kind IN ('token', 'cookie')),
  secret_hash bytea UNIQUE CHECK (octet_length(secret_hash) = 32),
  generation integer NOT NULL,
  client_address text,
  created_at timestamptz NOT NULL DEFAULT now(),
  idle_until timestamptz,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  CONSTRAINT sessions_cookies_have_a_secret_and_an_end_of_idleness CHECK (
    (kind = 'cookie') = (secret_hash IS NOT NULL) AND (kind = 'cookie') = (idle_until IS NOT NULL))
)
"""

SIGN_IN_ATTEMPTS = """
CREATE TABLE sign_in_attempts (
  subject bytea PRIMARY KEY CHECK (octet_length(subject) = 32),
  failures integer NOT NULL,
  not_before timestamptz NOT NULL,
  known_until timestamptz,
  keep_until timestamptz NOT NULL
)
"""

RESETS = """
CREATE TABLE password_resets (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
)
"""

INVITES = """
CREATE TABLE invites (
  id uuid PRIMARY KEY,
  org_id uuid REFERENCES orgs (id),
  email text NOT NULL CHECK (email <> ''),
  role text NOT NULL CHECK (role IN ('system_admin', 'org_admin', 'org_user')),
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  sent_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  accepted_by uuid REFERENCES users (id),
  revoked_at timestamptz,
  created_by uuid REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT invites_only_system_admins_have_no_org CHECK ((role = 'system_admin') = (org_id IS NULL))
)
"""

ORGS = """
ALTER TABLE orgs
  ADD COLUMN version bigint NOT NULL DEFAULT 1,
  ADD COLUMN purge_at timestamptz,
  DROP CONSTRAINT orgs_status_check,
  ADD CONSTRAINT orgs_status_check CHECK (status IN ('active', 'suspended', 'deleting', 'deleted')),
  ADD CONSTRAINT orgs_that_are_being_deleted_have_a_date CHECK (status <> 'deleting' OR purge_at IS NOT NULL)
"""

STATEMENTS = (
    SESSIONS,
    "CREATE INDEX sessions_user ON sessions (user_id)",
    "CREATE INDEX sessions_expiry ON sessions (expires_at)",
    SIGN_IN_ATTEMPTS,
    "CREATE INDEX sign_in_attempts_expiry ON sign_in_attempts (keep_until)",
    RESETS,
    "CREATE INDEX password_resets_user ON password_resets (user_id)",
    "CREATE INDEX password_resets_expiry ON password_resets (expires_at)",
    INVITES,
    "CREATE UNIQUE INDEX invites_pending ON invites (org_id, lower(email)) NULLS NOT DISTINCT WHERE accepted_at IS NULL AND revoked_at IS NULL",
    ORGS,
    "CREATE INDEX orgs_purge ON orgs (purge_at) WHERE status = 'deleting'",
    # The service identity of publications stays one for each org; service accounts that people make are named `service:<org>:<name>`.
    "DROP INDEX users_one_service_per_org",
    "CREATE UNIQUE INDEX users_one_service_per_org ON users (org_id) WHERE role = 'service' AND status <> 'deleted' AND username NOT LIKE '%:%:%'",
    "CREATE INDEX users_email ON users (lower(email)) WHERE status <> 'deleted' AND email IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
