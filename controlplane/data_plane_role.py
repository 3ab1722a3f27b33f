"""The database role of the data plane: it reads the relations of `ias.gateway_views`, asks what was spent, and nothing else."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ias import gateway_views

ROLE = "ias_data_plane"
_RELATIONS = ", ".join((gateway_views.EPOCH, gateway_views.CHANGES, gateway_views.CREDENTIALS, gateway_views.PUBLICATIONS))


async def let_data_plane_read(engine: AsyncEngine, password: str) -> None:
    """Make the role, or give it this password, and let it read. Safe to repeat, and needed again after a migration that adds a view or a function."""
    async with engine.begin() as connection:
        known = await connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": ROLE})
        verb = "ALTER" if known else "CREATE"
        # Utility statements take no parameters: the server itself quotes the password.
        statement = await connection.scalar(
            text("SELECT format(:form, CAST(:password AS text))"), {"form": f"{verb} ROLE {ROLE} LOGIN PASSWORD %L", "password": password}
        )
        await connection.exec_driver_sql(str(statement))
        await connection.exec_driver_sql(f"GRANT SELECT ON {_RELATIONS} TO {ROLE}")
        await connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {gateway_views.SPENT} TO {ROLE}")
