"""What sessions began with, and when they were last used, so that people know theirs. Those of the version before have neither."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN user_agent text, ADD COLUMN last_used_at timestamptz")
