"""The reader on PostgreSQL. Four views, read-only; its role can see nothing else."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ias.change_log import ReaderUnavailable
from ias.change_log_postgres import ACQUIRE_S, PostgresChangeLog, as_reader_errors, open_pool
from ias.gateway_views import CREDENTIALS, PUBLICATIONS, Credential, Publication, ScopeLimits

_PORTION = 10_000
NAME = "ias-extauth"
"""Of our sessions, for the operator of the database."""
_LIMITS = frozenset({"limits", "key_limits", "user_limits", "org_limits", "owner_limits"})
_T = TypeVar("_T")
_scope_limits = msgspec.json.Decoder(ScopeLimits)
_text_pairs = msgspec.json.Decoder(dict[str, str])


def _columns(kind: type[msgspec.Struct]) -> str:
    return ", ".join(kind.__struct_fields__)


# The names are constants of ours, never input.
_IDS_SQL = f'SELECT credential_id FROM {CREDENTIALS} ORDER BY credential_id COLLATE "C"'  # noqa: S608  (constants)
_CREDENTIALS_SQL = f"SELECT {_columns(Credential)} FROM {CREDENTIALS} WHERE credential_id = ANY($1::text[])"  # noqa: S608  (constants)
# A list of unknown length is planned anew at each call, which takes longer than the read; one id is not.
_CREDENTIAL_SQL = _CREDENTIALS_SQL.replace("ANY($1::text[])", "$1")
_PUBLICATIONS_SQL = f"SELECT {_columns(Publication)} FROM {PUBLICATIONS}"  # noqa: S608  (constants)
_SOME_PUBLICATIONS_SQL = f"{_PUBLICATIONS_SQL} WHERE publication_id = ANY($1::text[])"


class PostgresGatewayReader(PostgresChangeLog):
    """A small pool. `timeout_s` bounds each query; `load_timeout_s` those that read everything."""

    @classmethod
    async def open(cls, url: str, timeout_s: float, load_timeout_s: float = 120) -> "PostgresGatewayReader":
        """Make the reader; the database need not be there yet."""
        return cls(await open_pool(url, timeout_s, connections=4, name=NAME), load_timeout_s)

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
