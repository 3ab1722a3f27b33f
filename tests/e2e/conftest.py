"""One service for all e2e tests: started here, or the one that `IAS_E2E_TARGET` names."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import Tenant, World
from tests.support.stack import Stack, start_stack

TARGET = os.environ.get("IAS_E2E_TARGET", "")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack | None]:
    """The processes, when they are ours to stop and kill; None for a foreign target."""
    if TARGET:
        yield None
        return
    stack = start_stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def service(stack: Stack | None) -> Iterator[World]:
    ready = stack.ready if stack else json.loads(Path(TARGET).read_text())
    password = ready.get("admin_password") or os.environ["IAS_E2E_ADMIN_PASSWORD"]
    world = World(ready, password)
    yield world
    world.close()


@pytest.fixture
def world(service: World) -> Iterator[World]:
    """The service; what the test makes in it is removed afterwards."""
    yield service
    service.tidy()


@pytest.fixture(scope="module")
def module_world(service: World) -> Iterator[World]:
    shared = World(service.ready, service.ready.get("admin_password") or os.environ["IAS_E2E_ADMIN_PASSWORD"])
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def tenant(module_world: World) -> Tenant:
    """One tenant for the tests of a module that leave it as it is."""
    return module_world.tenant()


@pytest.fixture(scope="module")
def model(module_world: World, tenant: Tenant) -> str:
    """One published model of that tenant, without limits."""
    return module_world.publish(tenant)
