"""What the roles of running services may do in the database, and what not."""

import asyncpg
import pytest

from controlplane import database
from controlplane.database_roles import DATA_PLANE, let_data_plane_read
from ias import gateway_views
from tests.support.postgres import as_role


async def test_the_data_plane_reads_the_gateways_relations_and_nothing_else(database_url: str) -> None:
    engine = database.create_engine(database_url, pool_size=1)
    try:
        await let_data_plane_read(engine, "first")
        await let_data_plane_read(engine, "it's \\new")
    finally:
        await engine.dispose()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(as_role(database_url, DATA_PLANE, "first"))
    connection = await asyncpg.connect(as_role(database_url, DATA_PLANE, "it%27s%20%5Cnew"))
    try:
        for relation in (gateway_views.EPOCH, gateway_views.CHANGES, gateway_views.CREDENTIALS, gateway_views.PUBLICATIONS):
            await connection.fetch(f"SELECT * FROM {relation}")
        spent = f"SELECT {gateway_views.SPENT}(gen_random_uuid(), 'org', now() - interval '31 days', now())"
        assert await connection.fetchval(spent) == 0
        for statement in (
            "SELECT * FROM users",
            "SELECT * FROM credentials",
            "SELECT * FROM ledger",
            "SELECT * FROM budgets",
            "SELECT nextval('budget_versions')",
            "SELECT * FROM audit_log",
            "INSERT INTO change_log (kind, id) VALUES ('key', 'x')",
            "SELECT ledger_drop_before(now())",
            "CREATE TABLE mine (x int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_role_that_was_not_let_in_cannot_ask_what_was_spent(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    granted = "SELECT has_function_privilege('public', $1::regprocedure, 'EXECUTE')"
    try:
        assert not await connection.fetchval(granted, f"{gateway_views.SPENT}(uuid, text, timestamptz, timestamptz)")
    finally:
        await connection.close()


async def test_the_control_plane_adds_to_the_audit_log_and_takes_nothing_away(database_url: str) -> None:
    connection = await asyncpg.connect(as_role(database_url))
    insert = "INSERT INTO audit_log (id, action_type, outcome, seq) VALUES (gen_random_uuid(), 'key.create', 'ok', -5) RETURNING seq"
    try:
        assert [await connection.fetchval(insert) for _ in range(2)] == [1, 2], "whatever number a writer gives"
        for statement in (
            "UPDATE audit_log SET outcome = 'denied'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "UPDATE audit_seals SET rows = 1",
            "DELETE FROM audit_seals",
            "TRUNCATE audit_log, audit_seals",
            "ALTER TABLE audit_log DISABLE TRIGGER ALL",
            "DROP TABLE audit_log",
            "SELECT setval('audit_log_order', 1)",
            "SELECT nextval('audit_log_order')",
            "UPDATE alembic_version SET version_num = '0000'",
            "CREATE TABLE mine (x int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        assert await connection.fetchval("SELECT count(*) FROM audit_log") == 2
    finally:
        await connection.close()


async def test_the_control_plane_keeps_the_months_of_the_ledger(database_url: str) -> None:
    """Partitions are made and dropped by the owner's functions."""
    connection = await asyncpg.connect(as_role(database_url))
    try:
        await connection.execute("SELECT ledger_add_month(timestamptz '2001-02-03Z')")
        assert await connection.fetchval("SELECT ledger_drop_before(timestamptz '2001-03-01Z')") == ["ledger_2001_02"]
    finally:
        await connection.close()
