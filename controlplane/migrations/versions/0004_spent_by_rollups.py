"""What was spent is summed up from the rollups, and from the ledger only where a period begins or ends between them.

So a month of a busy org costs thousands of rows and not millions. Rollups change in the transaction of the ledger: the sum is exact.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SUM = """
      SELECT sum(input_tokens + output_tokens) FROM {table}
      WHERE org_id = org AND {moment} >= {first} AND {moment} < {last}
        AND (of_user IS NULL OR user_id = of_user) AND (of_key IS NULL OR key_id = of_key)"""


def _sum(table: str, first: str, last: str) -> str:
    moment = "admitted_at" if table == "ledger" else "period_start"
    return f"coalesce(({_SUM.format(table=table, moment=moment, first=first, last=last)}), 0)"


GATEWAY_SPENT = f"""
CREATE OR REPLACE FUNCTION gateway_spent_v1(org uuid, scope text, "from" timestamptz, until timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  of_user uuid := CASE WHEN scope LIKE 'user:%' THEN substr(scope, 6)::uuid END;
  of_key uuid := CASE WHEN scope LIKE 'key:%' THEN substr(scope, 5)::uuid END;
  quarters timestamptz := date_bin('15 minutes', "from", timestamptz '2001-01-01Z');
  quarters_end timestamptz := date_bin('15 minutes', until, timestamptz '2001-01-01Z');
  days timestamptz := date_trunc('day', "from", 'UTC');
  days_end timestamptz := date_trunc('day', until, 'UTC');
  spent numeric;
BEGIN
  IF scope <> 'org' AND of_user IS NULL AND of_key IS NULL THEN
    RAISE EXCEPTION 'a scope is org, user:<id> or key:<id>, not %', scope USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF quarters < "from" THEN
    quarters := quarters + interval '15 minutes';
  END IF;
  IF days < "from" THEN
    days := days + interval '24 hours';
  END IF;
  IF quarters >= quarters_end THEN
    spent := {_sum("ledger", '"from"', "until")};
  ELSE
    IF days >= days_end THEN
      days := quarters;
      days_end := quarters;
    END IF;
    spent := {_sum("ledger", '"from"', "quarters")}
      + {_sum("usage_quarter_hours", "quarters", "days")}
      + {_sum("usage_days", "days", "days_end")}
      + {_sum("usage_quarter_hours", "days_end", "quarters_end")}
      + {_sum("ledger", "quarters_end", "until")};
  END IF;
  RETURN least(spent, 9007199254740991);
END
$$
"""


def upgrade() -> None:
    op.execute(GATEWAY_SPENT)
