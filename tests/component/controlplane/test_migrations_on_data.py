"""Every migration runs on data of the version before, one step at a time, and loses none of it."""

from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from controlplane import database
from tests.support.statements import ROOT

ORG, USER, KEY, BACKEND, PUBLICATION = (f"0198c0de-0000-7000-8000-00000000000{number}" for number in range(5))
_IDS = f"'{ORG}', '{USER}', '{KEY}', '{PUBLICATION}'"

# What a version's code writes, by the revision from which on it can.
ROWS: dict[str, list[str]] = {
    "0001": [
        f"INSERT INTO orgs (id, slug, name) VALUES ('{ORG}', 'acme', 'Acme')",
        f"INSERT INTO users (id, org_id, username, role, password_hash) VALUES ('{USER}', '{ORG}', 'ada', 'org_admin', 'hash')",
        f"INSERT INTO keys (id, org_id, user_id, name) VALUES ('{KEY}', '{ORG}', '{USER}', 'laptop')",
        (
            "INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint) "
            f"VALUES ('abcdefgh', '{KEY}', sha256('x'), 1, 'ias_live_abcdefgh')"
        ),
        f"INSERT INTO backends (id, name, base_url, kind) VALUES ('{BACKEND}', 'gpu', 'http://gpu:8000', 'openai')",
        (
            "INSERT INTO publications (id, model, org_id, model_type, external_path, upstream_model, backend_id, status) "
            f"VALUES ('{PUBLICATION}', 'llama', '{ORG}', 'openai', '/models/llama', 'llama', '{BACKEND}', 'published')"
        ),
        f"INSERT INTO publication_tenants (publication_id, org_id) VALUES ('{PUBLICATION}', '{ORG}')",
        (
            "INSERT INTO audit_log (id, org_id, user_id_performing_action, action_type, payload, outcome) "
            f"SELECT gen_random_uuid(), '{ORG}', '{USER}', 'key.create', '{{}}', 'ok' FROM generate_series(1, 20)"
        ),
        "INSERT INTO change_log (kind, id) SELECT 'key', i::text FROM generate_series(1, 20) i",
        (
            "INSERT INTO ledger (admitted_at, event_id, epoch, org_id, user_id, key_id, publication_id, model, upstream_model, endpoint, stream, "
            "outcome, http_status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, usage_source, held_tokens, duration_ms, "
            f"ended_at, request_id, tags) SELECT now() - interval '1 hour' * i, gen_random_uuid(), 1, {_IDS}, 'llama', 'llama', 'chat_completions', "
            "true, 'complete', 200, 7, 0, 3, 0, 'reported', 10, 5, now(), 'r' || i, '{}' FROM generate_series(1, 50) i"
        ),
    ],
    "0002": [f"INSERT INTO budgets (subject_id, period, scope, org_id, tokens) VALUES ('{ORG}', 'month', 'org', '{ORG}', 1000)"],
    "0003": [
        f"INSERT INTO security_events (id, minute, status, code, org_id, overflow, requests) SELECT '{KEY}', now(), 401, 'x', '{ORG}', false, 3"
    ],
}
TABLES = ["orgs", "users", "keys", "credentials", "backends", "publications", "publication_tenants", "audit_log", "change_log", "ledger", "budgets"]


def _steps(connection: Connection) -> dict[str, tuple[int, ...]]:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(ROOT / "controlplane" / "migrations"))
    counted: dict[str, tuple[int, ...]] = {}
    for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        command.upgrade(config, script.revision)
        for statement in ROWS.get(script.revision, ()):
            connection.execute(text(statement.replace(":", r"\:")))
        counted[script.revision] = tuple(_count(connection, table) for table in TABLES)
    return counted


def _count(connection: Connection, table: str) -> Any:
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return 0
    return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()


async def test_no_step_loses_a_row(empty_database_url: str) -> None:
    engine = database.create_engine(empty_database_url, pool_size=1)
    async with engine.begin() as connection:
        counted = await connection.run_sync(_steps)
        spent = await connection.execute(text(f"SELECT gateway_spent_v1('{ORG}', 'org', now() - interval '10 days', now())"))
        assert spent.scalar_one() == 500, "the sum of the ledger, through rollups that a migration filled"
        names = await connection.execute(text("SELECT count(*) FROM gateway_credentials_v1"))
        assert names.scalar_one() == 1, "the key still works"
    await engine.dispose()
    assert counted[max(counted)] == (1, 1, 1, 1, 1, 1, 1, 20, 20, 50, 1)
