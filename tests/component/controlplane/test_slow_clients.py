"""Strangers cannot hold the API's connections by sending slowly."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from controlplane.http_protocol import DeadlineProtocol

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Impatient(DeadlineProtocol):
    head_s = 0.3


async def slow_answer(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(2 * Impatient.head_s)
    await PlainTextResponse("done")(scope, receive, send)


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(slow_answer, http=Impatient, lifespan="off", log_config=None))
        serving = asyncio.create_task(server._serve([listener]))
        yield listener.getsockname()
        server.should_exit = True
        await serving


@pytest.mark.parametrize("sent", [b"", HEAD[:5], HEAD[:-2]], ids=["nothing", "a little", "all but the end"])
async def test_a_connection_without_a_whole_head_is_closed(address: tuple[str, int], sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_second_head_on_the_same_connection_has_the_deadline_too(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(HEAD)
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        writer.write(HEAD[:5])
        assert await reader.read() == b""
    writer.close()


async def test_an_answer_may_take_longer_than_the_head(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(HEAD)
    async with asyncio.timeout(5):
        assert b"200 OK" in await reader.readline()
    writer.close()
