"""Samples of refused requests, each with the event that counts it: they go when it goes."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

REFUSED_REQUESTS = """
CREATE TABLE refused_requests (
  event_id uuid NOT NULL REFERENCES security_events (id) ON DELETE CASCADE,
  place integer NOT NULL,
  request_id text NOT NULL,
  at timestamptz NOT NULL,
  org_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key_id uuid NOT NULL,
  method text NOT NULL,
  path text NOT NULL,
  message text NOT NULL,
  model text,
  limits jsonb NOT NULL,
  PRIMARY KEY (event_id, place)
)
"""

STATEMENTS = (
    REFUSED_REQUESTS,
    "CREATE INDEX refused_requests_request ON refused_requests (request_id)",
    "CREATE INDEX security_events_code ON security_events (code, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
