"""`python -m extauth` as a process: starts, serves on a Unix socket, follows changes by itself, stops."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import CHECK
from tests.component.extauth.world import Truth
from tests.support.checks import Verdict, check_message, read_answer
from tests.support.valkey import TestValkey

SECRETS = {
    "IAS_PEPPERS": json.dumps({"1": (b"p" * 32).hex()}),
    "IAS_SIGNING_KEYS": json.dumps({"k1": (b"s" * 32).hex()}),
    "IAS_SIGNING_KEY_CURRENT": "k1",
}


class Running:
    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self.process = process
        self.socket = socket
        self.log: list[dict[str, object]] = []

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(json.loads(line))

    def messages(self) -> list[object]:
        return [line["message"] for line in self.log]

    async def check(self, message: bytes) -> Verdict:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            return read_answer(await channel.unary_unary(CHECK)(message, timeout=5))


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def process(tmp_path: Path, **environment: str) -> AsyncIterator[Running]:
    socket = tmp_path / "x.sock"
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extauth"),
        env={**os.environ, "IAS_LISTEN": f"unix:{socket}", **SECRETS, **environment},
        stderr=subprocess.PIPE,
    )
    running = Running(started, socket)
    reading = asyncio.ensure_future(running.read_log())
    try:
        yield running
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        await reading


async def test_serves_follows_changes_and_stops(tmp_path: Path, truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with process(tmp_path, IAS_DATABASE_URL=database_url, IAS_VALKEY_URL=valkey.url) as extauth:
        await until(lambda: "serving" in extauth.messages())
        async with grpc.aio.insecure_channel(f"unix:{extauth.socket}") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert (await extauth.check(check_message(key.text))).allowed

        revoke = "UPDATE credentials SET revoked_at = now() WHERE credential_id = $1"
        await truth.change(revoke, key.credential_id, kind="credential", of=key.credential_id)
        revoked = time.monotonic()
        while (await extauth.check(check_message(key.text))).allowed:
            assert time.monotonic() - revoked < 30, "a revoked key is refused by itself; how soon, `make bench-keys` measures"
            await asyncio.sleep(0.01)

        refused = next(line for line in extauth.log if line["message"] == "request refused")
        assert (refused["status"], refused["code"], refused["credential"]) == (401, "invalid_api_key", key.hint)
        assert key.text not in json.dumps(extauth.log)

        extauth.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(extauth.process.wait(), 10) == 0
        assert not extauth.socket.exists()


async def test_waits_for_postgresql_with_one_plain_line_and_can_be_stopped_meanwhile(tmp_path: Path, valkey: TestValkey) -> None:
    async with process(tmp_path, IAS_DATABASE_URL=f"postgresql://ias:hidden@/ias?host={tmp_path}", IAS_VALKEY_URL=valkey.url) as extauth:
        await until(lambda: bool(extauth.log))
        await asyncio.sleep(1)
        assert extauth.messages() == ["cannot read the state from PostgreSQL, trying again"]
        assert "hidden" not in json.dumps(extauth.log)
        assert not extauth.socket.exists()
        extauth.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(extauth.process.wait(), 10) == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"IAS_PEPPERS": '{"1":"beef"}'}, "32 bytes"),
        ({"IAS_SIGNING_KEY_CURRENT": "k9"}, "k9"),
        ({"IAS_DATABASE_URL": ""}, ""),
    ],
)
def test_a_wrong_configuration_is_one_plain_sentence(changed: dict[str, str], said: str) -> None:
    environment = {**os.environ, **SECRETS, "IAS_DATABASE_URL": "postgresql://ias:hidden@/x", "IAS_VALKEY_URL": "redis://:hidden@x", **changed}
    environment = {name: value for name, value in environment.items() if value}
    run = subprocess.run([sys.executable, "-m", "extauth"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert said in run.stderr
    assert "IAS_" in run.stderr
    assert "Traceback" not in run.stderr


def test_check_config_shows_no_secret() -> None:
    environment = {**os.environ, **SECRETS, "IAS_DATABASE_URL": "postgresql://ias:hidden@/x", "IAS_VALKEY_URL": "redis://:hidden@x"}
    run = subprocess.run([sys.executable, "-m", "extauth", "--check-config"], env=environment, capture_output=True, text=True, check=True)
    assert "IAS_CHANGES_INTERVAL_MS=500" in run.stdout
    assert "hidden" not in run.stdout
    assert (b"s" * 32).hex() not in run.stdout
