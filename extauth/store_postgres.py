"""The reader on PostgreSQL. Four views, read-only; its role can see nothing else."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg
import msgspec

from extauth.ports import Change, Changes, Position, ReaderUnavailable
from ias.gateway_views import CHANGES, CREDENTIALS, EPOCH, PUBLICATIONS, Credential, Publication, ScopeLimits

_PORTION = 10_000
_MAX_CHANGES = 2_000
ACQUIRE_S = 2
"""Also the time to give a connection back: one whose query cannot be cancelled is closed then, and blocks the pool no longer."""
_SESSION = {"application_name": "ias-extauth", "default_transaction_read_only": "on"}
_LIMITS = frozenset({"limits", "key_limits", "user_limits", "org_limits", "owner_limits"})
_T = TypeVar("_T")
_scope_limits = msgspec.json.Decoder(ScopeLimits)
_text_pairs = msgspec.json.Decoder(dict[str, str])


def _columns(kind: type[msgspec.Struct]) -> str:
    return ", ".join(kind.__struct_fields__)


# The names are constants of ours, never input.
_POSITION_SQL = f"SELECT epoch, (SELECT coalesce(max(seq), 0) FROM {CHANGES}) AS seq FROM {EPOCH}"  # noqa: S608  (constants)
_CHANGES_SQL = f"SELECT e.epoch, c.seq, c.kind, c.id FROM {EPOCH} e LEFT JOIN {CHANGES} c ON c.seq > $1 ORDER BY c.seq LIMIT {_MAX_CHANGES}"  # noqa: S608  (constants)
_IDS_SQL = f'SELECT credential_id FROM {CREDENTIALS} ORDER BY credential_id COLLATE "C"'  # noqa: S608  (constants)
_CREDENTIALS_SQL = f"SELECT {_columns(Credential)} FROM {CREDENTIALS} WHERE credential_id = ANY($1::text[])"  # noqa: S608  (constants)
# A list of unknown length is planned anew at each call, which takes longer than the read; one id is not.
_CREDENTIAL_SQL = _CREDENTIALS_SQL.replace("ANY($1::text[])", "$1")
_PUBLICATIONS_SQL = f"SELECT {_columns(Publication)} FROM {PUBLICATIONS}"  # noqa: S608  (constants)
_SOME_PUBLICATIONS_SQL = f"{_PUBLICATIONS_SQL} WHERE publication_id = ANY($1::text[])"


class PostgresGatewayReader:
    """A small pool. `timeout_s` bounds each query; `load_timeout_s` those that read everything."""

    def __init__(self, pool: "asyncpg.Pool[Any]", load_timeout_s: float) -> None:
        self._pool = pool
        self._load_timeout_s = load_timeout_s

    @classmethod
    async def open(cls, url: str, timeout_s: float, load_timeout_s: float = 120) -> "PostgresGatewayReader":
        """Make the reader; the database need not be there yet."""
        return cls(await open_pool(url, timeout_s, connections=4), load_timeout_s)

    async def aclose(self) -> None:
        """Close all connections, without waiting for a server that does not answer."""
        self._pool.terminate()

    async def position(self) -> Position:
        rows = await self._fetch(_POSITION_SQL)
        if not rows:
            raise ReaderUnavailable("the database has no epoch")
        return Position(str(rows[0]["epoch"]), rows[0]["seq"])

    async def changes(self, after_seq: int) -> Changes:
        rows = await self._fetch(_CHANGES_SQL, after_seq)
        if not rows:
            raise ReaderUnavailable("the database has no epoch")
        return Changes(str(rows[0]["epoch"]), tuple(Change(row["seq"], row["kind"], row["id"]) for row in rows if row["seq"] is not None))

    async def each_credential_id(self, take: Callable[[list[str]], None]) -> None:
        async with as_reader_errors(), self._pool.acquire(timeout=ACQUIRE_S) as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(_IDS_SQL, timeout=self._load_timeout_s)
            while rows := await cursor.fetch(_PORTION, timeout=self._load_timeout_s):
                take([row[0] for row in rows])

    async def credentials(self, credential_ids: Sequence[str]) -> list[Credential]:
        one = len(credential_ids) == 1
        rows = await (self._fetch(_CREDENTIAL_SQL, credential_ids[0]) if one else self._fetch(_CREDENTIALS_SQL, list(credential_ids)))
        return _structs(rows, Credential)

    async def publications(self, publication_ids: Sequence[str] | None = None) -> list[Publication]:
        if publication_ids is None:
            return _structs(await self._fetch(_PUBLICATIONS_SQL, timeout_s=self._load_timeout_s), Publication)
        return _structs(await self._fetch(_SOME_PUBLICATIONS_SQL, list(publication_ids)), Publication)

    async def _fetch(self, sql: str, *arguments: object, timeout_s: float | None = None) -> list[Any]:
        async with as_reader_errors(), self._pool.acquire(timeout=ACQUIRE_S) as connection:
            return await connection.fetch(sql, *arguments, timeout=timeout_s)


async def open_pool(url: str, timeout_s: float, connections: int) -> "asyncpg.Pool[Any]":
    """Make a pool for reading; it connects when it is used first. `timeout_s` bounds each query."""
    options: dict[str, Any] = {"timeout": 5, "command_timeout": timeout_s, "server_settings": _SESSION}
    return await asyncpg.create_pool(url, min_size=0, max_size=connections, reset=_nothing, **options)


async def _nothing(_: object) -> None:
    """Nobody leaves anything behind in a session that only reads: resetting it would cost a round trip for each read."""


def _structs(rows: list[Any], kind: type[_T]) -> list[_T]:
    try:
        return [msgspec.convert({name: _field(name, value) for name, value in row.items()}, kind) for row in rows]
    except msgspec.DecodeError as error:
        raise ReaderUnavailable(f"a row is not a {kind.__name__}: {error}") from error


def _field(name: str, value: Any) -> Any:
    """What is jsonb comes as text."""
    if name in _LIMITS:
        return _limits(value)
    return _text_pairs.decode(value) if name == "labels" else value


@lru_cache(4096)
def _limits(text: str) -> ScopeLimits:
    """Read limits; the keys of an org mostly have the same ones."""
    return _scope_limits.decode(text)


@asynccontextmanager
async def as_reader_errors() -> AsyncIterator[None]:
    """Whatever the database or the way to it does wrong becomes ReaderUnavailable."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise ReaderUnavailable(f"{type(error).__name__}: {error}") from error
