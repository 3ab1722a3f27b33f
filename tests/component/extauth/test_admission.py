"""Limits on a real Valkey."""

import asyncio

from extauth.estimate import NOTHING_LEARNED
from ias import telemetry
from ias.context import AdmissionMode, decode
from tests.component.extauth.world import Truth, admitted, extauth
from tests.support.checks import CHAT, ask, check_message
from tests.support.valkey import TestValkey

SHORT = CHAT[:-1] + b',"max_tokens":10}'


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
    async with extauth(database_url, valkey.url, claim_ttl_ms=1) as world:
        await ask(world.service.handle, check_message(key.text, CHAT[:-1] + b',"stream":true}'))
        async with asyncio.timeout(10):
            while True:
                if found := await world.store.sweep():
                    break
                await asyncio.sleep(0.01)
    context = decode(found[0].claim, found[0].reservation_id)
    assert (context.org_id, context.publication_id, context.stream) == (str(org.id), str(publication_id), True)


async def test_limits_of_key_user_org_and_publication_are_met_together(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    publication_id = await truth.publish("small", org)
    key_id, key = await org.key()
    await truth.limit("keys", key_id, requests_per_hour=9)
    await truth.limit("users", org.user_id, tokens_per_minute=100_000)
    await truth.limit("orgs", org.id, tokens_per_hour=90_000)
    await truth.limit("publications", publication_id, concurrent_requests=2)
    async with extauth(database_url, valkey.url) as world:
        verdicts = [(await ask(world.service.handle, check_message(key.text, SHORT)))[0] for _ in range(3)]
    first, second, refused = verdicts
    assert [first.allowed, second.allowed] == [True, True]
    context = admitted(second)
    assert second.client_headers == {
        "x-ratelimit-limit-requests": "9",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": second.client_headers["x-ratelimit-reset-requests"],
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": str(90_000 - 2 * context.held_tokens),
        "x-ratelimit-reset-tokens": "0s",
    }
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert b"concurrentRequests of the model 'small' (2 at once)" in refused.body


async def test_a_strict_request_without_a_cap_gets_the_one_that_its_hold_allows(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    await truth.limit("orgs", org.id, admission_mode="strict", tokens_per_minute=1_000)
    async with extauth(database_url, valkey.url) as world:
        first, refused, small = [(await ask(world.service.handle, check_message(key.text, body)))[0] for body in (CHAT, CHAT, SHORT)]
    context = admitted(first)
    assert (context.mode, context.held_tokens) == (AdmissionMode.STRICT, 1_000)
    assert context.output_cap == 1_000 - context.prompt_tokens > 0
    assert (refused.status, small.status) == (429, 429)
    assert "x-ratelimit-limit-tokens" in refused.headers


async def test_a_balanced_stream_near_its_limit_is_topped_up(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    await truth.limit("orgs", org.id, tokens_per_minute=20_000)
    body = CHAT[:-1] + b',"max_tokens":15000,"stream":true}'
    async with extauth(database_url, valkey.url) as world:
        (verdict,) = await ask(world.service.handle, check_message(key.text, body))
    context = admitted(verdict)
    assert (context.output_cap, context.top_up_tokens) == (0, 256)
    assert context.held_tokens == context.prompt_tokens + NOTHING_LEARNED.output_tokens


async def test_a_limit_in_dry_run_refuses_nothing_and_counts(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    key_id, key = await org.key(rpm=0)
    await truth.limit("keys", key_id, dry_run=["requestsPerMinute"])
    counted = telemetry.WOULD_REFUSE.labels("requestsPerMinute", "key")
    before = counted._value.get()
    async with extauth(database_url, valkey.url) as world:
        (verdict,) = await ask(world.service.handle, check_message(key.text))
    assert verdict.allowed
    assert "x-ratelimit-limit-requests" not in verdict.client_headers
    assert counted._value.get() == before + 1
