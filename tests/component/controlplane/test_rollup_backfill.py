"""A ledger that has rows already when its rollups are made."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

import controlplane
from controlplane import database
from tests.component.controlplane.rolled_up import assert_rollups_are_the_ledgers

ROWS = """
INSERT INTO ledger (admitted_at, event_id, epoch, org_id, user_id, key_id, publication_id, model, upstream_model, endpoint, stream, outcome,
  http_status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, usage_source, held_tokens, duration_ms, time_to_first_token_ms,
  ended_at, request_id)
SELECT timestamptz '2026-03-09 23:50:00Z' + n * interval '7 minutes', gen_random_uuid(), 0, $1, $1, $1, $1, 'm', 'm', 'chat_completions', true,
  'complete', 200, n, 0, 1, 0, 'reported', 0, n * 100, nullif(n, 3) * 20, now(), 'r' FROM generate_series(0, 7) n
"""


async def test_rows_of_before_are_rolled_up_by_the_migration(empty_database_url: str) -> None:
    engine = database.create_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade_to_0002)
    rows = await asyncpg.connect(empty_database_url)
    await rows.execute(ROWS, "00000000-0000-4000-8000-000000000001")
    await database.migrate(engine)
    await engine.dispose()

    days = await rows.fetch("SELECT period_start, requests, input_tokens, durations, first_tokens FROM usage_days ORDER BY 1")
    assert [(day["period_start"].day, day["requests"], day["input_tokens"]) for day in days] == [(9, 2, 1), (10, 6, 27)]
    assert [sum(day["durations"]) for day in days] == [2, 6]
    assert days[0]["durations"][:2] == [2, 0]
    assert days[1]["durations"][:4] == [0, 1, 3, 2]
    assert [day["first_tokens"][:6] for day in days] == [[2, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 2]]
    quarters = await rows.fetch("SELECT requests FROM usage_quarter_hours ORDER BY period_start")
    assert [quarter["requests"] for quarter in quarters] == [2, 2, 2, 2]
    await rows.close()
    await assert_rollups_are_the_ledgers(empty_database_url)


def _upgrade_to_0002(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(controlplane.__file__).parent / "migrations"))
    command.upgrade(config, "0002")
