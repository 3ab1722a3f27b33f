"""extauth's database role reads the four relations of the gateway, asks what was spent, and nothing else."""

import asyncpg
import pytest

from controlplane import database
from controlplane.data_plane_role import ROLE, let_data_plane_read
from ias import gateway_views


def as_data_plane(owner_url: str, password: str) -> str:
    """The same database, another user."""
    scheme, _, rest = owner_url.partition("://")
    return f"{scheme}://{ROLE}:{password}@{rest.partition('@')[2]}"


async def test_it_reads_the_gateways_relations_and_nothing_else(database_url: str) -> None:
    engine = database.create_engine(database_url, pool_size=1)
    try:
        await let_data_plane_read(engine, "first")
        await let_data_plane_read(engine, "it's \\new")
    finally:
        await engine.dispose()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(as_data_plane(database_url, "first"))
    connection = await asyncpg.connect(as_data_plane(database_url, "it%27s%20%5Cnew"))
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
