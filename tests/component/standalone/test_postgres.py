"""PostgreSQL as `ias up` drives it: also as root, and after everything that can kill it."""

import asyncio
import dataclasses
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from standalone import process
from standalone.postgres import Postgres, PostgresFailed


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """A created cluster to copy: making one takes a second of a CPU."""
    with tempfile.TemporaryDirectory(prefix="ias-pg-") as folder:
        (Path(folder) / "run").mkdir()
        postgres = make(Path(folder))
        postgres.create()
        yield postgres.data


@pytest.fixture
def postgres(short_tmp: Path, cluster: Path) -> Postgres:
    postgres = make(short_tmp)
    shutil.copytree(cluster, postgres.data)
    postgres.data.chmod(0o700)
    return postgres


@pytest.fixture
def uncreated(short_tmp: Path) -> Postgres:
    return make(short_tmp)


def make(folder: Path) -> Postgres:
    directory = folder / "postgres"
    directory.mkdir(mode=0o700)
    password = folder / "password"
    password.write_text("a-password")
    return Postgres(directory, folder / "run" / "pg", password, folder / "log", durable=False)


@asynccontextmanager
async def running(postgres: Postgres) -> AsyncIterator["subprocess.Popen[bytes]"]:
    await postgres.clear_remains()
    postgres.create()
    server = process.launch(postgres.program())
    try:
        async with asyncio.timeout(30):
            await until(postgres.ready)
        yield server
    finally:
        server.send_signal(postgres.program().stop_signal)
        server.wait(20)


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    while not await probe():  # noqa: ASYNC110  # another process has no event to wait for
        await asyncio.sleep(0.02)


async def ask(postgres: Postgres, query: str) -> object:
    connection = await asyncpg.connect(postgres.url())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_data_stays_over_a_stop_that_does_not_wait_for_clients(postgres: Postgres) -> None:
    async with running(postgres) as server:
        await ask(postgres, "CREATE TABLE t AS SELECT 7 AS x")
        client = await asyncpg.connect(postgres.url())
        server.send_signal(postgres.program().stop_signal)
        await asyncio.to_thread(server.wait, 10)
        assert server.returncode == 0
        client.terminate()
    async with running(postgres):
        assert await ask(postgres, "SELECT x FROM t") == 7


async def test_it_comes_back_after_kill_9(postgres: Postgres) -> None:
    postgres = dataclasses.replace(postgres, durable=True)
    async with running(postgres) as server:
        await ask(postgres, "CREATE TABLE t AS SELECT 7 AS x")
        server.kill()
        server.wait()
    assert (postgres.data / "postmaster.pid").exists()
    async with running(postgres):
        assert await ask(postgres, "SELECT x FROM t") == 7


async def test_a_mark_with_the_number_of_another_living_process_does_not_stop_a_start(postgres: Postgres) -> None:
    async with running(postgres) as server:
        server.kill()
        server.wait()
    mark = postgres.data / "postmaster.pid"
    lines = mark.read_text().splitlines()
    mark.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with running(postgres):
        assert await ask(postgres, "SELECT 1") == 1


async def test_only_the_password_opens_it_and_only_through_the_socket(postgres: Postgres) -> None:
    async with running(postgres) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url().replace(postgres.password_file.read_text(), "wrong"))
        assert await ask(postgres, "SHOW listen_addresses") == ""
        assert await ask(postgres, "SHOW password_encryption") == "scram-sha-256"
        assert stat.S_IMODE(postgres.socket_directory.stat().st_mode) == 0o700
        arguments = Path(f"/proc/{server.pid}/cmdline").read_bytes() + Path(f"/proc/{server.pid}/environ").read_bytes()
        assert postgres.password_file.read_bytes() not in arguments


async def test_parent_folders_keep_their_modes(postgres: Postgres, short_tmp: Path) -> None:
    short_tmp.chmod(0o700)
    async with running(postgres):
        pass
    assert [stat.S_IMODE(path.stat().st_mode) for path in (short_tmp, postgres.directory)] == [0o700, 0o700]


async def test_a_creation_that_was_cut_is_done_anew(uncreated: Postgres) -> None:
    (uncreated.directory / "data.new" / "base").mkdir(parents=True)
    async with running(uncreated):
        assert await ask(uncreated, "SELECT current_database()") == "ias"
    assert not (uncreated.directory / "data.new").exists()


async def test_a_creation_that_fails_says_why_and_leaves_no_data(uncreated: Postgres) -> None:
    uncreated.password_file.write_text("")
    with pytest.raises(PostgresFailed, match="password file"):
        uncreated.create()
    assert not uncreated.data.exists()


async def test_nothing_outlives_a_parent_that_is_killed(postgres: Postgres, short_tmp: Path) -> None:
    await postgres.clear_remains()
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom standalone.postgres import Postgres\nfrom standalone.process import launch\n"
        f"p = Postgres(Path({str(postgres.directory)!r}), Path({str(postgres.socket_directory)!r}), Path({str(postgres.password_file)!r}), "
        f"Path({str(postgres.log)!r}))\nprint(launch(p.program()).pid, flush=True)\nsys.stdin.read()\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    child = int(await parent.stdout.readline())
    async with asyncio.timeout(30):
        await until(postgres.ready)
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        await until(lambda: asyncio.sleep(0, not Path(f"/proc/{child}/exe").exists()))
    async with running(postgres):
        assert await ask(postgres, "SELECT 1") == 1


async def test_where_namespaces_are_forbidden_root_is_told_what_to_do() -> None:
    """A process with two threads may not enter one: the kernel refuses as a container would."""
    script = (
        "import sys, threading, time\nfrom standalone import user_namespace\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\nuser_namespace.main(0, ['/x/postgres'])\n"
    )
    refused = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE)
    _, said = await refused.communicate()
    assert refused.returncode == 1
    assert b"postgres refuses to run as root" in said
    assert b"Start as an ordinary user" in said
