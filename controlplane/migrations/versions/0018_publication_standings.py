"""What the cluster says of each publication, where Kubernetes is the gateway."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STANDINGS = """
CREATE TABLE publication_standings (
  publication_id uuid PRIMARY KEY REFERENCES publications (id) ON DELETE CASCADE,
  state text NOT NULL CHECK (state IN ('accepted', 'waiting', 'unseen', 'conflict', 'refused')),
  reason text NOT NULL
)
"""


def upgrade() -> None:
    op.execute(STANDINGS)
