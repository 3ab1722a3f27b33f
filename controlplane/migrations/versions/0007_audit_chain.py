"""The audit log in an order that is final, and the chain of hashes over it; what the control plane's own role needs the owner for."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# The number of `controlplane.advisory_locks.AUDIT_WRITERS`. Writers share it from their number to their commit, which follows at once; the sealer
# takes it alone for a moment, and then every number given so far is committed or gone for good: nothing appears later below it.
_NUMBER = """
CREATE FUNCTION audit_log_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(442255944);
  NEW.seq := nextval('audit_log_order');
  RETURN NEW;
END
$$
"""

_OLD_ROWS = """
UPDATE audit_log SET seq = numbered.seq
FROM (SELECT id, row_number() OVER (ORDER BY id) AS seq FROM audit_log) AS numbered WHERE numbered.id = audit_log.id
"""

AUDIT_ORDER = (
    "CREATE SEQUENCE audit_log_order",
    "ALTER TABLE audit_log ADD COLUMN seq bigint, ADD COLUMN targets text[] NOT NULL DEFAULT '{}'",
    _OLD_ROWS,
    "SELECT setval('audit_log_order', (SELECT coalesce(max(seq), 0) + 1 FROM audit_log), false)",
    "ALTER TABLE audit_log ALTER COLUMN seq SET NOT NULL",
    "CREATE UNIQUE INDEX audit_log_seq ON audit_log (seq)",
    "CREATE INDEX audit_log_actor ON audit_log (user_id_performing_action, id)",
    "CREATE INDEX audit_log_action ON audit_log (action_type, id)",
    "CREATE INDEX audit_log_targets ON audit_log USING gin (targets)",
    _NUMBER,
    "CREATE TRIGGER audit_log_number BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_number()",
)

# A batch is all rows whose `seq` is above that of the batch before and not above its own. `hash`: `controlplane.audit.chain`.
AUDIT_SEALS = """
CREATE TABLE audit_seals (
  number bigint PRIMARY KEY CHECK (number > 0),
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  first_id uuid NOT NULL,
  last_id uuid NOT NULL,
  rows integer NOT NULL CHECK (rows > 0),
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT now()
)
"""

# Only a table's owner may make and drop its partitions; the worker is not the owner.
_BY_OWNER = ("ledger_add_month", "ledger_drop_before")
MONTHS = tuple(
    statement
    for function in _BY_OWNER
    for statement in (
        f"ALTER FUNCTION {function}(timestamptz) SECURITY DEFINER SET search_path = public, pg_temp",
        f"REVOKE EXECUTE ON FUNCTION {function}(timestamptz) FROM PUBLIC",
    )
)

STATEMENTS = (*AUDIT_ORDER, AUDIT_SEALS, *MONTHS)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
