"""extauth's memory follows a real PostgreSQL, and outlives it for a while."""

import asyncio
import time

import asyncpg
import pytest

from ias.apikeys import new_key
from ias.context import verify
from ias.gateway_views import CREDENTIALS
from ias.headers import CONTEXT, MODEL
from tests.component.extauth.world import SIGNING, Truth, extauth, postgres_hangs
from tests.support.checks import ask, check_message
from tests.support.valkey import TestValkey


async def test_a_request_passes_with_context_route_and_limits(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    publication_id = await truth.publish("small", org, rpm=60, burst=2, upstream="engine/small")
    key_id, key = await org.key(rpm=10)
    async with extauth(database_url, valkey.url) as world:
        (verdict,) = await ask(world.service.handle, check_message(key.text, headers={"x-request-tags": "team=a"}))
    assert verdict.allowed
    assert verdict.headers[MODEL] == "small"
    assert set(verdict.removed) == {"authorization", "x-api-key", "api-key", "x-request-tags"}
    assert verdict.client_headers["x-ratelimit-limit-requests"] == "2"
    assert verdict.client_headers["x-ratelimit-remaining-requests"] == "1"
    context = verify(verdict.headers[CONTEXT], SIGNING, "req-1", "/v1/chat/completions", time.time_ns() // 1_000_000)
    assert (context.org_id, context.user_id, context.key_id) == (str(org.id), str(org.user_id), str(key_id))
    assert (context.publication_id, context.model, context.upstream_model) == (str(publication_id), "small", "engine/small")
    assert (context.stream, context.add_usage, context.tags) == (False, False, {"team": "a"})


async def test_a_revoked_key_is_refused_after_one_poll(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed
        await truth.change(
            "UPDATE credentials SET revoked_at = now() WHERE credential_id = $1", key.credential_id, kind="credential", of=key.credential_id
        )
        await world.watcher.poll()
        reads = world.reader.reads
        (verdict,) = await ask(world.service.handle, check_message(key.text))
        assert (verdict.status, verdict.code) == (401, "invalid_api_key")
        assert world.reader.reads == reads


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE keys SET status = 'disabled' WHERE id = $1", "key"),
        ("UPDATE keys SET status = 'revoked' WHERE id = $1", "key"),
        ("UPDATE keys SET expires_at = now() WHERE id = $1", "key"),
        ("UPDATE users SET status = 'disabled' WHERE id = $1", "user"),
        ("UPDATE orgs SET status = 'suspended' WHERE id = $1", "org"),
    ],
)
async def test_a_change_above_the_credential_is_seen_after_one_poll(
    statement: str, kind: str, truth: Truth, database_url: str, valkey: TestValkey
) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    key_id, key = await org.key()
    ids = {"key": key_id, "user": org.user_id, "org": org.id}
    async with extauth(database_url, valkey.url) as world:
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed
        await truth.change(statement, ids[kind], kind=kind, of=ids[kind])
        await world.watcher.poll()
        assert (await ask(world.service.handle, check_message(key.text)))[0].status == 401


async def test_a_new_key_and_a_new_model_are_known_after_one_poll(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    async with extauth(database_url, valkey.url) as world:
        _, key = await org.key()
        await truth.publish("small", org)
        assert (await ask(world.service.handle, check_message(key.text)))[0].status == 401
        await world.watcher.poll()
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed


async def test_an_unpublished_model_is_gone_after_one_poll(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    publication_id = await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed
        await truth.change("UPDATE publications SET status = 'deleted' WHERE id = $1", publication_id, kind="publication", of=publication_id)
        await world.watcher.poll()
        (verdict,) = await ask(world.service.handle, check_message(key.text))
        assert (verdict.status, verdict.code) == (404, "model_not_found")


async def test_a_restored_database_is_loaded_anew(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    """A restore goes back in time: rows vanish without a change that says so, and sequence numbers come again."""
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed
        await truth.execute("DELETE FROM credentials")
        await truth.execute("DELETE FROM change_log")
        await truth.execute("UPDATE change_epoch SET epoch = gen_random_uuid()")
        _, other = await org.key()
        await world.watcher.poll()
        old, new = await ask(world.service.handle, check_message(key.text), check_message(other.text))
        assert (old.status, new.allowed) == (401, True)
        assert len(world.snapshot.live) == 1


async def test_an_unknown_key_never_reaches_postgresql(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    async with extauth(database_url, valkey.url) as world:
        verdicts = await ask(world.service.handle, *(check_message(new_key().text) for _ in range(20)))
        assert {v.status for v in verdicts} == {401}
        assert world.reader.reads == 0


async def test_requests_of_one_key_share_one_read(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url) as world:
        verdicts = await ask(world.service.handle, *(check_message(key.text) for _ in range(20)))
        assert all(v.allowed for v in verdicts)
        assert world.reader.reads == 1


async def test_a_credential_is_found_by_its_index(truth: Truth, database_url: str) -> None:
    """At a million credentials, a sequential scan for each key that is seen for the first time would be an outage."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN SELECT * FROM {CREDENTIALS} WHERE credential_id = ANY($1::text[])", ["AAAAAAAA"])
    await connection.close()
    lines = [row[0] for row in plan]
    scan = next(i for i, line in enumerate(lines) if "credentials" in line and "Scan" in line)
    assert any("Index Cond" in line and "credential_id" in line for line in lines[scan : scan + 3]), "\n".join(lines)


async def test_without_postgresql_known_keys_pass_and_nobody_is_told_401_wrongly(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    data = await truth.data_directory()
    org = await truth.org()
    await truth.publish("small", org)
    (_, known), (_, unread) = await org.key(), await org.key()
    async with extauth(database_url, valkey.url) as world:
        assert (await ask(world.service.handle, check_message(known.text)))[0].allowed
        with postgres_hangs(data):
            world.watcher._interval_s = 0.01
            watching = asyncio.ensure_future(world.watcher.run())
            verdicts = await ask(
                world.service.handle, check_message(known.text), check_message(new_key().text), check_message(unread.text), check_message("x")
            )
            assert [v.status for v in verdicts] == [200, 401, 503, 401]
            assert verdicts[2].code == "service_unavailable"
        async with asyncio.timeout(10):
            while True:
                if (await ask(world.service.handle, check_message(unread.text)))[0].allowed:
                    break
                await asyncio.sleep(0.05)
        watching.cancel()


async def test_state_that_is_too_old_answers_503_and_never_401(truth: Truth, database_url: str, valkey: TestValkey) -> None:
    org = await truth.org()
    await truth.publish("small", org)
    _, key = await org.key()
    async with extauth(database_url, valkey.url, max_age_s=0.2) as world:
        async with asyncio.timeout(5):
            while True:
                known, unknown = await ask(world.service.handle, check_message(key.text), check_message(new_key().text))
                if not known.allowed:
                    break
                await asyncio.sleep(0.02)
        assert (known.status, known.code) == (503, "service_unavailable")
        assert unknown.status == 503
        await world.watcher.poll()
        assert (await ask(world.service.handle, check_message(key.text)))[0].allowed
