"""One real PostgreSQL for each test worker, and a migrated database of its own for each test.

The server is the one that `ias up` starts, on a Unix socket in a private folder. Databases are copies of one migrated
template, so a test costs a file copy instead of a migration.
"""

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from controlplane import database
from controlplane.database_roles import CONTROL_PLANE, let_control_plane_work
from standalone.postgres import Postgres
from standalone.process import launch

TEMPLATE = "migrated"
_START_S = 60
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 1 << 30
_numbers = count(1)
_T = TypeVar("_T")


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    postgres: Postgres

    def url(self, name: str) -> str:
        return self.postgres.url(name)

    def create(self, template: str) -> str:
        """Make a database as a copy of another one and return its URL."""
        name = f"test_{next(_numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # the default writes all of it to the WAL too
        return self.url(name)

    def drop(self, url: str) -> None:
        name = url.rpartition("?")[0].rpartition("/")[2]
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        run_apart(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def as_role(owner_url: str, role: str = CONTROL_PLANE, password: str = "password") -> str:
    """The same database, another user."""
    scheme, _, rest = owner_url.partition("://")
    return f"{scheme}://{role}:{password}@{rest.partition('@')[2]}"


def run_apart(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on a loop in a thread of its own, so that fixtures may do so whatever loop the test runs on."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server with the template database migrated."""
    home = Path(tempfile.mkdtemp(prefix="ias-pg-", dir=_roomy_memory()))  # short: the path of a Unix socket has at most 107 bytes
    (home / "password").write_text("password")
    (home / "socket").mkdir(mode=0o700)
    postgres = Postgres(home, home / "socket", home / "password", home / "log", durable=False)
    process = None
    try:
        postgres.create()
        process = launch(postgres.program())
        wait_until_ready(process, postgres)
        server = PostgresServer(postgres)
        server._run(f"CREATE DATABASE {TEMPLATE}")
        run_apart(migrate(server.url(TEMPLATE), "password"))
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # immediate shutdown: nothing here is worth a checkpoint
            process.wait(timeout=20)
        shutil.rmtree(home)


def _roomy_memory() -> Path | None:
    """A folder in memory, where a database is copied in a tenth of the time; None where there is none, or little room in it."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this worker."""
    with running_server() as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated, empty database for one test."""
    url = postgres_server.create(TEMPLATE)
    yield url
    postgres_server.drop(url)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without any table."""
    url = postgres_server.create("template1")
    yield url
    postgres_server.drop(url)


async def migrate(url: str, control_plane_password: str = "") -> None:
    """Bring a database to the newest schema, and let the control plane's role work with it, if its password is given."""
    engine = database.create_engine(url, pool_size=1)
    await database.migrate(engine)
    if control_plane_password:
        await let_control_plane_work(engine, control_plane_password)
    await engine.dispose()


def wait_until_ready(process: "subprocess.Popen[bytes]", postgres: Postgres) -> None:
    """Return when a launched server takes queries."""
    deadline = time.monotonic() + _START_S
    while not run_apart(postgres.ready()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{postgres.log.read_text()}")
        time.sleep(0.05)
