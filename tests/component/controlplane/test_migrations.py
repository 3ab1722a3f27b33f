import asyncio
from types import UnionType
from typing import Any, get_args, get_origin

import asyncpg
import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import database, schema
from ias import gateway_views


async def test_an_empty_database_gets_the_whole_schema_and_a_second_run_changes_nothing(empty_database_url: str) -> None:
    engine = database.create_engine(empty_database_url)
    first = await database.migrate(engine)
    before = await _catalogue(empty_database_url)
    assert await database.migrate(engine) == first
    assert await _catalogue(empty_database_url) == before
    await engine.dispose()


async def test_two_processes_that_migrate_at_once_do_not_collide(empty_database_url: str) -> None:
    engine = database.create_engine(empty_database_url)
    results = await asyncio.gather(*(database.migrate(engine) for _ in range(3)))
    assert len(set(results)) == 1
    await engine.dispose()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(database.DatabaseIsNewer, match="9999"):
        await database.migrate(engine)


async def test_the_tables_in_code_are_the_tables_of_a_migrated_database(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
            return kind == "column" or (kind == "table" and name in schema.metadata.tables)

        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.parametrize(
    ("view", "struct"),
    [(gateway_views.CREDENTIALS, gateway_views.Credential), (gateway_views.PUBLICATIONS, gateway_views.Publication)],
)
async def test_the_views_of_the_data_plane_have_exactly_the_fields_of_their_structs(
    database_url: str, view: str, struct: type[msgspec.Struct]
) -> None:
    rows = await _fetch(database_url, "SELECT column_name, data_type, udt_name FROM information_schema.columns WHERE table_name = $1", view)
    postgres = {row["column_name"]: row["udt_name"] for row in rows}
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    assert postgres.keys() == fields.keys()
    names = {str: {"text"}, bytes: {"bytea"}, int: {"int4", "int8"}, bool: {"bool"}, "datetime": {"timestamptz"}, tuple: {"_text"}, dict: {"jsonb"}}
    names |= {"ScopeLimits": {"jsonb"}, "AdmissionMode": {"text"}, "ModelType": {"text"}}
    for name, kind in fields.items():
        assert postgres[name] in names[_plain(kind)], name


async def test_the_other_views_have_the_columns_that_readers_expect(database_url: str) -> None:
    epoch = await _fetch(database_url, f"SELECT * FROM {gateway_views.EPOCH}")
    assert [list(row.keys()) for row in epoch] == [["epoch"]]
    columns = await _fetch(database_url, "SELECT column_name FROM information_schema.columns WHERE table_name = $1", gateway_views.CHANGES)
    assert {row["column_name"] for row in columns} == {"seq", "kind", "id"}


async def test_a_late_month_partition_takes_over_the_rows_of_the_default_partition(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    insert = """
    INSERT INTO ledger SELECT $1, gen_random_uuid(), i, i, i, i, 'm', 'm', 'chat_completions', true, 'complete', 200,
      1, 0, 1, 0, 'reported', 0, NULL, 5, $1, now(), 'r', '{}' FROM gen_random_uuid() i
    """
    long_ago = await connection.fetchval("SELECT timestamptz '2001-02-28 23:59:59.999Z'")
    await connection.execute(insert, long_ago)
    assert await connection.fetchval("SELECT count(*) FROM ledger_default") == 1
    await connection.execute("SELECT ledger_add_month($1), ledger_add_month($1)", long_ago)
    assert await connection.fetchval("SELECT count(*) FROM ledger_default") == 0
    assert await connection.fetchval("SELECT count(*) FROM ledger_2001_02") == 1
    await connection.execute(insert, long_ago)
    assert await connection.fetchval("SELECT count(*) FROM ledger_2001_02") == 2
    await connection.close()


async def test_this_month_and_the_next_have_partitions_from_the_start(database_url: str) -> None:
    rows = await _fetch(database_url, "SELECT relname FROM pg_class WHERE relname ~ '^ledger_[0-9]{4}_[0-9]{2}$' AND relkind = 'r'")
    assert len(rows) == 2


def _plain(kind: Any) -> Any:
    if get_origin(kind) in {tuple, dict}:
        return get_origin(kind)
    if isinstance(kind, UnionType):
        kind = next(argument for argument in get_args(kind) if argument is not type(None))
    return kind if kind in {str, bytes, int, bool} else kind.__name__


async def _fetch(url: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def _catalogue(url: str) -> list[asyncpg.Record]:
    return await _fetch(url, "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
