"""What the load runs against: the whole service by `ias up`, an engine simulator with a journal, and a Kafka broker if wanted."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos import accounting
from tests.chaos.accounting import Books
from tests.e2e.world import Tenant, World
from tests.support import kafka
from tests.support.kafka import KafkaBroker
from tests.support.simulator import Simulator, running_simulator
from tests.support.stack import Stack, running_stack

MODELS = ("sim-chat", "sim-small")
BACKEND = "sim"
_SETTLED_S = 150
"""Longer than the hold of a request that nobody ends."""


@dataclass(frozen=True)
class Ground:
    """A running service."""

    stack: Stack
    world: World
    engine: Simulator
    kafka: KafkaBroker | None

    def keep_logs(self, folder: Path) -> None:
        """Copy what `ias up` and its processes said."""
        shutil.copytree(self.stack.home / "logs", folder, dirs_exist_ok=True)
        shutil.copy(self.stack.log, folder / "up.log")

    @property
    def gateway(self) -> str:
        return self.world.gateway

    @property
    def database_url(self) -> str:
        return str(self.stack.ready["database_url"])

    def settled(self, tenants: Sequence[Tenant], admitted: int) -> Books:
        """Read the ledger when it has a row for every admitted request, or when there was time enough for that."""
        end, books = time.monotonic() + _SETTLED_S, None
        while books is None or (len(books.rows) < admitted and time.monotonic() < end):
            time.sleep(0.5)
            try:
                books = accounting.read_books(self.database_url, [tenant.org_id for tenant in tenants])
            except (OSError, asyncpg.PostgresError):
                assert time.monotonic() < end, "PostgreSQL did not come back"
        return books

    def publish(self, tenant: Tenant, **config: Any) -> str:
        """Publish a model of the engine for a tenant."""
        return self.world.publish(tenant, upstream=MODELS[0], config=config)


@contextlib.contextmanager
def running(
    *arguments: str, with_kafka: bool = False, engine: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Ground]:
    """Start everything, and leave nothing behind. `engine` has arguments of the simulator, `environment` settings of the services."""
    folder = Path(tempfile.mkdtemp(prefix="ias-chaos-"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        simulator = cleanup.enter_context(running_simulator(folder, "--models", ",".join(MODELS), *engine))
        broker = cleanup.enter_context(running_broker(folder / "kafka")) if with_kafka else None
        settings = {**({"IAS_KAFKA_BOOTSTRAP": broker.bootstrap} if broker else {}), **(environment or {})}
        stack = cleanup.enter_context(running_stack(folder, "--engine", f"{BACKEND}={simulator.url}", *arguments, environment=settings))
        world = World(stack.ready, stack.ready["admin_password"])
        cleanup.callback(world.close)
        yield Ground(stack, world, simulator, broker)


@contextlib.contextmanager
def running_broker(folder: Path) -> Iterator[KafkaBroker]:
    """A broker of its own, that may be killed and started again."""
    folder.mkdir()
    broker = KafkaBroker(folder, kafka.jars())
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
