"""Fixtures of the conformance suites: each runs once for every adapter of a port."""

import itertools
import shutil
import tempfile
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.conformance.serving import TRANSPORTS, Logged, Machines, Serving


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """The loop that the services run on. Tests of other tiers run on Python's own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets: their paths may have 107 bytes only, and pytest's own folders are long."""
    path = Path(tempfile.mkdtemp(prefix="ias"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["unix", "tcp"])
async def serving(request: pytest.FixtureRequest, transport: str, short_path: Path) -> AsyncIterator[Serving]:
    numbers = itertools.count()
    served = Serving(transport, lambda: f"unix:{short_path}/{next(numbers)}" if request.param == "unix" else "127.0.0.1:0")
    yield served
    await served.stop()


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.fixture
def logged() -> Iterator[Logged]:
    yield from Logged().watch()
