"""Why a publication is of its type."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE publications ADD COLUMN model_type_reason text")
