"""Valkey as `ias up` drives it."""

import asyncio
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from standalone import process
from standalone.valkey import Valkey


@pytest.fixture
def valkey(short_tmp: Path) -> Valkey:
    (short_tmp / "valkey").mkdir(mode=0o700)
    (short_tmp / "password").write_text("5ec4e7")
    return Valkey(short_tmp / "valkey", short_tmp / "run" / "valkey.sock", short_tmp / "password", short_tmp / "log")


@asynccontextmanager
async def running(valkey: Valkey) -> AsyncIterator["subprocess.Popen[bytes]"]:
    server = process.launch(valkey.program())
    try:
        async with asyncio.timeout(20):
            while not await valkey.ready():
                assert server.poll() is None, valkey.log.read_text()
                await asyncio.sleep(0.02)
        yield server
    finally:
        server.terminate()
        server.wait(10)


async def test_data_stays_over_a_stop_and_over_kill_9(valkey: Valkey) -> None:
    async with running(valkey), Redis.from_url(valkey.url) as client:
        await client.set("a", 1)
    async with running(valkey) as server, Redis.from_url(valkey.url) as client:
        assert await client.get("a") == b"1"
        await client.set("b", 2)
        await client.execute_command("CONFIG", "SET", "appendfsync", "always")
        await client.set("c", 3)
        server.kill()
        server.wait()
    assert valkey.socket.exists(), "the socket of a killed server stays behind"
    async with running(valkey), Redis.from_url(valkey.url) as client:
        assert await client.mget("a", "b", "c") == [b"1", b"2", b"3"]


async def test_the_password_is_needed_and_is_nowhere_to_be_seen(valkey: Valkey) -> None:
    async with running(valkey) as server:
        reader, writer = await asyncio.open_unix_connection(valkey.socket)
        writer.write(b"PING\r\n")
        assert (await reader.readline()).startswith(b"-NOAUTH")
        writer.close()
        await writer.wait_closed()
        seen = Path(f"/proc/{server.pid}/cmdline").read_bytes() + Path(f"/proc/{server.pid}/environ").read_bytes()
        assert b"5ec4e7" not in seen
        assert stat.S_IMODE((valkey.directory / "valkey.conf").stat().st_mode) == 0o600
        assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700
        async with Redis.from_url(valkey.url) as client:
            assert (await client.config_get("port"))["port"] == "0"
    assert "5ec4e7" not in valkey.log.read_text()
