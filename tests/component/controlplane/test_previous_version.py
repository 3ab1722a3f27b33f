"""The code of the version before works on this version's schema: replicas of both run while one is rolled out, and after a step back.

Its statements were written down when it was the newest (`tests/support/statements.py`); PostgreSQL itself says whether they still hold.
"""

import re
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from tests.support.statements import FOLDER, SEPARATOR, head

BY_TRIGGER = {"audit_log": {"seq"}}
"""Columns that a trigger fills before each insert; `test_an_insert_of_then_passes_the_triggers` inserts as that version did."""
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)")


def previous() -> list[str]:
    """Statements of the newest version that migrated to an earlier revision than this one."""
    recorded = [path for path in sorted(FOLDER.glob("*.sql")) if path.stem < head()]
    return recorded[-1].read_text().strip().split(SEPARATOR)


@pytest.fixture
def statements() -> list[str]:
    return previous()


async def test_every_statement_can_still_be_prepared(database_url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(database_url)
    broken = []
    for statement in statements:
        try:
            await connection.prepare(statement)
        except asyncpg.PostgresError as error:
            broken.append(f"{error}: {statement[:300]}")
    await connection.close()
    assert len(statements) > 100
    assert not broken, f"{len(broken)} statements of the version before fail on this schema: expand first, contract a version later\n" + "\n".join(
        broken[:5]
    )


async def test_no_new_column_is_missed_by_an_insert_of_then(database_url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND is_nullable = 'NO' "
        "AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'"
    )
    await connection.close()
    needed: dict[str, set[str]] = {}
    for row in rows:
        needed.setdefault(row["table_name"], set()).add(row["column_name"])
    inserts = [match for statement in statements if (match := _INSERT.match(statement))]
    assert len(inserts) > 10
    for insert in inserts:
        given = {column.strip() for column in insert[2].split(",")} | BY_TRIGGER.get(insert[1], set())
        assert needed.get(insert[1], set()) <= given, f"{insert[1]}: the version before does not fill {needed[insert[1]] - given}"


async def test_an_insert_of_then_passes_the_triggers(database_url: str, statements: list[str]) -> None:
    (audit,) = [statement for statement in statements if statement.startswith("INSERT INTO audit_log")]
    columns = [column.strip() for column in audit[audit.index("(") + 1 : audit.index(")")].split(",")]
    values = {"id": uuid4(), "timestamp": datetime.now(UTC), "action_type": "org.create", "payload": "{}", "outcome": "ok"}
    connection = await asyncpg.connect(database_url)
    await connection.execute(audit, *(values.get(column) for column in columns))
    assert await connection.fetchval("SELECT seq FROM audit_log") is not None
    await connection.close()
