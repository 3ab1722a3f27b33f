"""Several backends behind a publication, what its connections may take, how far publishing has come, and what an org may publish."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Rows of the version before, and those that it still writes, have none: then `publications.backend_id` alone is meant.
PUBLICATION_TARGETS = """
CREATE TABLE publication_targets (
  publication_id uuid NOT NULL REFERENCES publications (id),
  backend_id uuid NOT NULL REFERENCES backends (id),
  weight integer NOT NULL CHECK (weight BETWEEN 1 AND 1000),
  priority integer NOT NULL CHECK (priority BETWEEN 0 AND 15),
  PRIMARY KEY (publication_id, backend_id)
)
"""

# `status_step`: the step that publishing is at; none: it is over. A row that has one while nobody publishes was left behind.
PUBLICATIONS = """
ALTER TABLE publications
  ADD COLUMN traffic jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(traffic) = 'object'),
  ADD COLUMN status_step text,
  ADD COLUMN status_advice text
"""

# No list: every host name; no number: the setting.
ORGS = """
ALTER TABLE orgs
  ADD COLUMN hostnames text[],
  ADD COLUMN max_publications integer CHECK (max_publications >= 0)
"""

STATEMENTS = (
    PUBLICATION_TARGETS,
    "CREATE INDEX publication_targets_backend ON publication_targets (backend_id)",
    "INSERT INTO publication_targets SELECT id, backend_id, 100, 0 FROM publications WHERE status <> 'deleted'",
    PUBLICATIONS,
    ORGS,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
