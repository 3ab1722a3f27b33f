"""Backends as providers: kind, credential by name, own intervals; whose turn a probe is; health that does not flap, with its figures."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# `health` stays what the version before reads and writes. `next_*_at`: who takes a backend's turn moves them, so of many processes one probes it.
# `probe_history`: a bit for each of the last probes, `probes` of them count, the newest is the lowest; 1: it was good.
BACKENDS = """
ALTER TABLE backends
  ADD COLUMN credential text CHECK (credential <> ''),
  ADD COLUMN probe_interval_s double precision CHECK (probe_interval_s > 0),
  ADD COLUMN discovery_interval_s double precision CHECK (discovery_interval_s > 0),
  ADD COLUMN next_probe_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN next_discovery_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN is_denied boolean NOT NULL DEFAULT false,
  ADD COLUMN probes_against integer NOT NULL DEFAULT 0 CHECK (probes_against >= 0),
  ADD COLUMN probe_history bigint NOT NULL DEFAULT 0,
  ADD COLUMN probes integer NOT NULL DEFAULT 0 CHECK (probes >= 0),
  ADD COLUMN latency_ms double precision,
  ADD COLUMN health_changed_at timestamptz
"""

STATEMENTS = (
    BACKENDS,
    "CREATE INDEX backends_next_probe ON backends (next_probe_at) WHERE status <> 'deleted'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
