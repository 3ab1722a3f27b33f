from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.component.extauth.world import Truth
from tests.support.valkey import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]


@pytest.fixture
async def truth(database_url: str) -> AsyncIterator[Truth]:
    connection = await asyncpg.connect(database_url)
    yield Truth(connection)
    await connection.close(timeout=5)
