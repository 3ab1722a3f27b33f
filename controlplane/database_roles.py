"""The database roles of running services. The owner of the database migrates it and does nothing else.

Both functions are safe to repeat, and needed again after a migration that adds relations.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ias import gateway_views

DATA_PLANE = "ias_data_plane"
CONTROL_PLANE = "ias_control_plane"
APPEND_ONLY = ("audit_log", "audit_seals")
"""What even the control plane can neither change nor remove."""

_DATA_PLANE_READS = ", ".join((gateway_views.EPOCH, gateway_views.CHANGES, gateway_views.CREDENTIALS, gateway_views.PUBLICATIONS))


async def let_data_plane_read(engine: AsyncEngine, password: str) -> None:
    """Make extauth's role, or give it this password: it reads the relations of `ias.gateway_views`, asks what was spent, and nothing else."""
    async with engine.begin() as connection:
        await _make(connection, DATA_PLANE, password)
        await connection.exec_driver_sql(f"GRANT SELECT ON {_DATA_PLANE_READS} TO {DATA_PLANE}")
        await connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {gateway_views.SPENT} TO {DATA_PLANE}")


async def let_control_plane_work(engine: AsyncEngine, password: str) -> None:
    """Make the role of API and worker, or give it this password: it works with all rows, but the audit log it can only read and add to."""
    append_only = ", ".join(APPEND_ONLY)
    async with engine.begin() as connection:
        await _make(connection, CONTROL_PLANE, password)
        for statement in (
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {CONTROL_PLANE}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {CONTROL_PLANE}",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {CONTROL_PLANE}",
            f"REVOKE ALL ON {append_only}, alembic_version FROM {CONTROL_PLANE}",
            f"REVOKE ALL ON SEQUENCE audit_log_order FROM {CONTROL_PLANE}",
            f"GRANT SELECT, INSERT ON {append_only} TO {CONTROL_PLANE}",
            f"GRANT SELECT ON alembic_version TO {CONTROL_PLANE}",
            # The worker brings batches through a table of its connection. Everybody may make such, unless the database was closed to that.
            f"DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {CONTROL_PLANE}', current_database()); END $$",
        ):
            await connection.exec_driver_sql(statement)


async def _make(connection: AsyncConnection, role: str, password: str) -> None:
    known = await connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    verb = "ALTER" if known else "CREATE"
    # Utility statements take no parameters: the server itself quotes the password.
    statement = await connection.scalar(
        text("SELECT format(:form, CAST(:password AS text))"), {"form": f"{verb} ROLE {role} LOGIN PASSWORD %L", "password": password}
    )
    await connection.exec_driver_sql(str(statement))
