"""Limits on a real Valkey, and without it."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from ias import telemetry
from ias.context import decode
from ias.transport import Call
from ratelimit import store_valkey
from tests.component.extauth.world import Truth, extauth
from tests.support.checks import CHAT, Verdict, ask, check_message
from tests.support.valkey import TestValkey


async def test_the_limit_of_a_publication_counts_for_each_org_alone(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    one, other = await truth.org(), await truth.org()
    await truth.publish("small", one, other, rpm=1, burst=2)
    (_, a), (_, b), (_, c) = await one.key(), await one.key(), await other.key()
    async with extauth(database_url, valkey.url) as world:
        verdicts = [(await ask(world.service.handle, check_message(k.text)))[0] for k in (a, b, a, c)]
    assert [v.status for v in verdicts] == [200, 200, 429, 200]
    refused = verdicts[2]
    assert refused.code == "rate_limit_exceeded"
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["content-type"] == "application/json"


async def test_the_key_has_a_limit_of_its_own(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org, rpm=100)
    (_, narrow), (_, wide) = await org.key(rpm=1), await org.key()
    async with extauth(database_url, valkey.url) as world:
        verdicts = [(await ask(world.service.handle, check_message(k.text)))[0] for k in (narrow, narrow, wide)]
    assert [v.status for v in verdicts] == [200, 429, 200]
    assert verdicts[2].client_headers["x-ratelimit-remaining-requests"] == "98", "the refused one was not charged to the model"


async def test_a_limit_of_zero_lets_nothing_pass_and_invites_no_retry(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org, rpm=0)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        (verdict,) = await ask(world.service.handle, check_message(key.text))
    assert (verdict.status, verdict.code) == (429, "request_too_large_for_limit")
    assert verdict.headers["x-should-retry"] == "false"
    assert "retry-after" not in verdict.headers


async def test_without_limits_no_ratelimit_headers(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        (verdict,) = await ask(world.service.handle, check_message(key.text))
    assert verdict.allowed
    assert verdict.client_headers == {}


async def test_what_never_reaches_extproc_is_found_with_all_that_its_event_needs(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    publication_id = await truth.publish("small", org)
    _, key = await org.key()
    reaper = store_valkey.connect(valkey.url, deadline_ms=2_000)
    async with extauth(database_url, valkey.url) as world:
        world.service._store._claim_ttl_ms = 1  # type: ignore[attr-defined]
        await ask(world.service.handle, check_message(key.text, CHAT[:-1] + b',"stream":true}'))
        async with asyncio.timeout(5):
            while True:
                if found := await reaper.unclaimed():
                    break
                await asyncio.sleep(0.01)
    await reaper.aclose()
    context = decode(found[0].claim, found[0].reservation_id)
    assert (context.org_id, context.publication_id, context.stream) == (str(org.id), str(publication_id), True)


@pytest.mark.parametrize("away", ["frozen", "gone"])
async def test_without_valkey_this_process_decides_alone_and_at_once(away: str, truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org, rpm=1, burst=2)
    _, key = await org.key()
    before = telemetry.STORE_FALLBACKS._value.get()
    url = valkey.url if away == "frozen" else "redis://127.0.0.1:1"
    async with extauth(database_url, url, store_timeout_ms=20) as world:
        await ask(world.service.handle, check_message(key.text, b"{}"))  # the record is in memory now
        if away == "gone":
            verdicts, waited = await _timed(world.service.handle, key.text)
        else:
            with valkey.frozen():
                verdicts, waited = await _timed(world.service.handle, key.text)
    assert [v.status for v in verdicts] == [200, 200, 429]
    assert waited < 1
    assert telemetry.STORE_FALLBACKS._value.get() == before + 3


async def _timed(handle: Callable[[Sequence[Call]], None], key: str) -> tuple[list[Verdict], float]:
    started = time.monotonic()
    verdicts = [(await ask(handle, check_message(key)))[0] for _ in range(3)]
    return verdicts, time.monotonic() - started
