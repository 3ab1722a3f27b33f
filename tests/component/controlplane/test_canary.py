"""The canary over real HTTP, before a gateway that answers as a test wants it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.publishing.canary_http import HttpCanary
from controlplane.publishing.ports import CanaryFailed, Flight

KEY = "ias_test_secret"
FLIGHT = Flight("m", "chat", None, True, KEY)
Asked = tuple[str, dict[str, str]]
Reply = tuple[int, dict[str, Any]]


@asynccontextmanager
async def gateway(reply: Callable[[str, bool, int], Reply]) -> AsyncIterator[tuple[str, list[Asked]]]:
    """A gateway that answers by path, by whether there is a key, and by how many requests came before."""
    asked: list[Asked] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                line, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                status, body = reply(line.split()[1], "authorization" in headers, len(asked))
                asked.append((line.split()[1], headers))
                content = json.dumps(body).encode()
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


def error(code: str, message: str = "x") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def test_a_good_flight_waits_until_the_data_plane_knows_key_and_model() -> None:
    def reply(path: str, has_key: bool, before: int) -> Reply:
        if not has_key or before < 3:
            return 401, error("invalid_api_key")
        return (404, error("model_not_found")) if before < 5 else (200, {})

    async with gateway(reply) as (url, asked):
        assert await HttpCanary(url, 10).fly(FLIGHT) is None
    assert "authorization" not in asked[0][1]
    assert {headers["x-request-tags"] for _, headers in asked} == {"canary=publish"}
    assert len(asked) == 6


async def test_the_publications_hostname_is_asked_for() -> None:
    async with gateway(lambda path, has_key, before: (200, {}) if has_key else (401, {})) as (url, asked):
        await HttpCanary(url, 10).fly(Flight("m", "chat", "api.example.com", True, KEY))
    assert {headers["host"] for _, headers in asked} == {"api.example.com"}


async def test_a_gateway_that_lets_anybody_in_fails() -> None:
    async with gateway(lambda path, has_key, before: (200, {})) as (url, _):
        with pytest.raises(CanaryFailed, match="without a key got 200 and not 401"):
            await HttpCanary(url, 10).fly(FLIGHT)
        assert await HttpCanary(url, 10).fly(Flight("m", "traditional", None, False, KEY)) is None, "unless it is open to all"


async def test_a_gateway_that_does_not_know_the_path_yet_is_waited_for() -> None:
    def reply(path: str, has_key: bool, before: int) -> Reply:
        if has_key:
            return 200, {}
        return (404, error("unknown_url")) if before < 3 else (401, {})

    async with gateway(reply) as (url, asked):
        assert await HttpCanary(url, 10).fly(FLIGHT) is None
    assert len(asked) == 5
    async with gateway(lambda path, has_key, before: (404, error("unknown_url"))) as (url, _):
        with pytest.raises(CanaryFailed, match=r"the last was chat without a key: 404 \(unknown_url"):
            await HttpCanary(url, 0.2).fly(FLIGHT)


async def test_an_engine_that_does_something_else_is_asked_for_that() -> None:
    def reply(path: str, has_key: bool, before: int) -> Reply:
        if not has_key:
            return 401, {}
        return (200, {}) if path == "/v1/embeddings" else (400, error("400", "not a chat model"))

    async with gateway(reply) as (url, asked):
        assert await HttpCanary(url, 10).fly(FLIGHT) is None
    assert [path for path, _ in asked] == ["/v1/chat/completions"] * 2 + ["/v1/embeddings"]


async def test_what_was_seen_is_told_without_the_key() -> None:
    async with gateway(lambda path, has_key, before: (500, error("", "no GPU")) if has_key else (401, {})) as (url, _):
        with pytest.raises(CanaryFailed, match=r"chat with the key: 500.*no GPU") as failed:
            await HttpCanary(url, 10).fly(FLIGHT)
    assert KEY not in str(failed.value)
    assert KEY not in repr(FLIGHT)


async def test_limits_of_the_publication_are_no_failure_but_told() -> None:
    async with gateway(lambda path, has_key, before: (429, error("rate_limit_exceeded")) if has_key else (401, {})) as (url, _):
        remark = await HttpCanary(url, 10).fly(FLIGHT)
    assert remark is not None
    assert "429" in remark


async def test_its_time_is_limited() -> None:
    async with gateway(lambda path, has_key, before: (401, error("invalid_api_key"))) as (url, _):
        with pytest.raises(CanaryFailed, match=r"within 0\.2 s; the last was chat with the key: 401"):
            await HttpCanary(url, 0.2).fly(FLIGHT)


async def test_a_gateway_that_is_not_there() -> None:
    with pytest.raises(CanaryFailed, match="cannot be asked"):
        await HttpCanary("http://127.0.0.1:1", 5).fly(FLIGHT)
