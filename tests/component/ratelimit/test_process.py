"""`python -m ratelimit` as a process, and two of them on one Valkey."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import SHOULD_RATE_LIMIT
from ratelimit import layout
from tests.support.hits import code, descriptor, headers, message
from tests.support.valkey import TestValkey
from tests.support.waiting import until

DAY = 4
RULES = [{"name": "all of a tenant", "domain": "gw/*", "entries": [["httproute/*", "*"], ["rule-*", "*"]], "requests_per_unit": 3, "unit": "day"}]


class Running:
    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self.process = process
        self.channel = grpc.aio.insecure_channel(f"unix:{socket}", options=[("grpc.use_local_subchannel_pool", 1)])
        self.log: list[dict[str, object]] = []

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(json.loads(line))

    async def ask(self, request: bytes) -> bytes:
        answer: bytes = await self.channel.unary_unary(SHOULD_RATE_LIMIT)(request, timeout=20)
        return answer


@contextlib.asynccontextmanager
async def process(socket: Path, valkey_url: str, **environment: str) -> AsyncIterator[Running]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ratelimit"),
        env={**os.environ, "IAS_LISTEN": f"unix:{socket}", "IAS_VALKEY_URL": valkey_url, "IAS_STORE_TIMEOUT_MS": "5000", **environment},
        stderr=subprocess.PIPE,
    )
    running = Running(started, socket)
    reading = asyncio.ensure_future(running.read_log())
    try:
        await until(lambda: any(line["message"] == "serving" for line in running.log))
        yield running
    finally:
        await running.channel.close()
        if started.returncode is None:
            started.kill()
        await started.wait()
        await reading


async def test_two_processes_let_pass_the_limit_and_not_one_more(tmp_path: Path, valkey: TestValkey) -> None:
    limit, times = 100, 200
    async with process(tmp_path / "a", valkey.url) as one, process(tmp_path / "b", valkey.url) as other:
        asked = message(descriptor("crowd", limit, unit=DAY), descriptor("wide", 1_000, unit=DAY))
        answers = await asyncio.gather(*(running.ask(asked) for _ in range(times) for running in (one, other)))
        left = headers(await one.ask(message(descriptor("wide", 1_000, 0, unit=DAY))))
    assert left["x-ratelimit-remaining-tokens"] == "900", "what was refused took nothing of the other limit"
    assert Counter(map(code, answers)) == {"OK": limit, "OVER_LIMIT": 2 * times - limit}


async def test_serves_its_own_limits_says_that_it_is_healthy_and_stops(tmp_path: Path, valkey: TestValkey) -> None:
    async with process(tmp_path / "a", valkey.url, IAS_RATE_LIMITS=json.dumps(RULES)) as ratelimit:
        answers = [await ratelimit.ask(message(descriptor("t", None))) for _ in range(4)]
        assert [code(answer) for answer in answers] == ["OK", "OK", "OK", "OVER_LIMIT"]
        assert b"all of a tenant (3 per day)" in answers[3]
        name = SHOULD_RATE_LIMIT[1:].partition("/")[0]
        health = await health_pb2_grpc.HealthStub(ratelimit.channel).Check(health_pb2.HealthCheckRequest(service=name))
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        ratelimit.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(ratelimit.process.wait(), 10) == 0


async def test_valkey_gone_and_back(tmp_path: Path, valkey: TestValkey) -> None:
    asked = message(descriptor(limit=4, unit=DAY))
    async with process(tmp_path / "a", valkey.url, IAS_STORE_TIMEOUT_MS="50") as one, process(tmp_path / "b", valkey.url) as other:
        await other.ask(asked)
        await until(lambda: _replicas(valkey) == 2)
        with valkey.frozen():
            during = [code(await one.ask(asked)) for _ in range(5)]
        await _until_back(one, asked)
        away = next(line for line in one.log if line["message"] == "Valkey does not answer: this process decides limits alone")
    assert during.count("OK") == 4 // int(str(away["replicas"])), "its share among those that it had seen"


async def _until_back(running: Running, asked: bytes) -> None:
    async with asyncio.timeout(20):
        while running.log[-1]["message"] != "Valkey is back":
            await running.ask(asked)
            await asyncio.sleep(0.02)


def _replicas(valkey: TestValkey) -> int:
    from redis import Redis

    with Redis.from_url(valkey.url) as client:
        return int(client.zcard(layout.replicas("ratelimit")))


@pytest.mark.parametrize("wrong", ["[", '[{"name":"x"}]', '[{"name":"","domain":"*","entries":[["a","b"]],"requests_per_unit":1,"unit":"day"}]'])
def test_a_wrong_configuration_is_one_plain_sentence(wrong: str) -> None:
    environment = {**os.environ, "IAS_VALKEY_URL": "redis://:hidden@x", "IAS_RATE_LIMITS": wrong}
    run = subprocess.run([sys.executable, "-m", "ratelimit"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "IAS_RATE_LIMITS" in run.stderr
    assert "Traceback" not in run.stderr
    assert "hidden" not in run.stderr
