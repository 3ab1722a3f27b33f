"""Idempotency keys of POST requests."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE idempotency_keys (
      user_id uuid NOT NULL REFERENCES users,
      action text NOT NULL,
      key text NOT NULL,
      digest bytea NOT NULL,
      status integer,
      headers jsonb,
      body text,
      made_id text,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (user_id, action, key)
    )""")
    op.execute("CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys")
