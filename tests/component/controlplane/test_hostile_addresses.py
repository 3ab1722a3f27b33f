"""Who asks for what is decided on the dispatched route: no Host, no forwarded header and no spelling of a path changes it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from benchmarks.api import first_admin, replicas, sign_in

HEADERS = [
    "Host: api/api/problems?x=",
    "Host: api/healthz#",
    "Host: evil@api/api/login?",
    "Host: api:1\r\nX-Forwarded-Host: api/healthz",
    "Host: api\r\nX-Forwarded-Prefix: /api/problems",
    "Host: api\r\nX-Original-URL: /api/problems\r\nX-Rewrite-URL: /healthz",
    "Host: api\r\nForwarded: for=127.0.0.1;host=x;proto=https\r\nX-Forwarded-For: 127.0.0.1",
    "Host: api\r\nX-HTTP-Method-Override: GET",
]
TARGETS = [
    ("/api/org", 401),
    ("http://evil/api/org", 404),
    ("//api/org", 404),
    ("/api//org", 404),
    ("/api/org/", 404),
    ("/api/problems/../org", 404),
    ("/api/problems/%2e%2e/org", 404),
    ("/api/problems%2f..%2forg", 404),
    ("/api/login/../org", 404),
    ("/API/org", 404),
    ("/api/org;x=/api/problems", 404),
    ("/api/org?/api/problems", 401),
]


async def status_of(address: str, head: str) -> int:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return int(answer.split()[1])


@pytest.fixture
def address(database_url: str, tmp_path: Path) -> Iterator[str]:
    with replicas(database_url, 1, tmp_path) as (one,):
        yield one.address


async def test_nobody_gets_past_the_rule_of_a_route(address: str, database_url: str) -> None:
    for headers in HEADERS:
        assert await status_of(address, f"GET /api/org HTTP/1.1\r\n{headers}") in {400, 401}, headers
        assert await status_of(address, f"DELETE /api/org/x HTTP/1.1\r\n{headers}") in {400, 401}, headers
    for target, expected in TARGETS:
        assert await status_of(address, f"GET {target} HTTP/1.1\r\nHost: api") == expected, target
    token = await asyncio.to_thread(lambda: sign_in(address, first_admin(database_url)))
    async with httpx2.AsyncClient(base_url=address, headers={"authorization": f"Bearer {token}", "host": "api/healthz?"}) as client:
        assert (await client.get("/api/org")).json()["items"] == []
