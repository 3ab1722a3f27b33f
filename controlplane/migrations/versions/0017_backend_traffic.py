"""Timeouts and limits of a backend's own, in the words of the gateway port, as `publications.traffic` has them; only what is set."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE backends ADD COLUMN traffic jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(traffic) = 'object')")
