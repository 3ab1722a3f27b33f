"""The object of a Kubernetes cluster that a backend was registered by, and what tells which protocol its engine speaks."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE backends ADD COLUMN kubernetes jsonb CHECK (kubernetes ?& ARRAY['kind', 'namespace', 'name']), ADD COLUMN kind_reason text"
    )
