"""Valkey frozen or gone: this process decides by its share, at once, and goes back when Valkey is back."""

import asyncio
import contextlib

import pytest

from ias import telemetry
from ratelimit.ports import StoreUnavailable
from ratelimit.replicas import Replicas
from ratelimit.replicas_valkey import ValkeyReplicaRegister
from tests.component.extauth.world import Extauth, Truth, admitted, extauth
from tests.support.checks import CHAT, Verdict, ask, check_message
from tests.support.valkey import TestValkey

SHORT = CHAT[:-1] + b',"max_tokens":10}'
NOWHERE = "redis://127.0.0.1:1"


async def some(world: Extauth, key: str, times: int) -> list[Verdict]:
    """One after the other, so that each is decided for itself."""
    return [(await ask(world.service.handle, check_message(key, SHORT)))[0] for _ in range(times)]


@pytest.mark.parametrize("away", ["frozen", "gone"])
async def test_without_valkey_this_process_decides_alone(away: str, truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org, rpm=4)
    _, key = await org.key()
    fallbacks = telemetry.STORE_FALLBACKS._value.get()
    async with extauth(database_url, valkey.url if away == "frozen" else NOWHERE, store_timeout_ms=20) as world:
        world.replicas.count = 2
        if away == "gone":
            verdicts = await some(world, key.text, 6)
        else:
            with valkey.frozen():
                verdicts = await some(world, key.text, 6)
        assert world.service._admissions._gate.is_open
    assert [v.status for v in verdicts] == [200, 200, 429, 429, 429, 429], "half of four"
    assert not admitted(verdicts[0]).in_store
    assert verdicts[2].headers["x-ratelimit-limit-requests"] == "4"
    assert telemetry.STORE_FALLBACKS._value.get() == fallbacks + 6


async def test_when_valkey_is_back_it_decides_again(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org, rpm=1_000)
    _, key = await org.key()
    async with extauth(database_url, valkey.url, store_timeout_ms=20) as world:
        with valkey.frozen():
            assert not admitted((await some(world, key.text, 5))[-1]).in_store
        async with asyncio.timeout(20):
            while True:
                if admitted((await some(world, key.text, 1))[0]).in_store:
                    break
                await asyncio.sleep(0.02)
        assert not world.service._admissions._gate.is_open


async def beaten(replicas: Replicas) -> None:
    """Beat until the register answers."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(StoreUnavailable):
                return await replicas.beat()
            await asyncio.sleep(0.01)


async def test_replicas_see_each_other_and_the_last_number_outlives_valkey(valkey: TestValkey) -> None:
    registers = [ValkeyReplicaRegister(valkey.url, "extauth", name) for name in ("a", "b")]
    one, other = (Replicas(register, interval_s=60) for register in registers)
    assert one.count == 1
    for replica in (one, other, one):
        await replica.beat()
    assert (one.count, other.count) == (2, 2)
    told = one.server_now_ms()
    with valkey.frozen(), pytest.raises(StoreUnavailable):
        await one.beat()
    assert one.count == 2
    assert one.server_now_ms() >= told
    await beaten(one)
    await registers[0].aclose()
    await beaten(other)
    assert other.count == 1, "who leaves says so"
    await registers[1].aclose()
