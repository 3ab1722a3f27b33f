"""What only the store on Valkey has: its keys, its index of orgs, its scripts, its absence in all forms."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from ratelimit import layout, resp, store_valkey
from ratelimit.index import FORGET_MS, IDLE_LOOK_MS
from ratelimit.layout import counter
from ratelimit.periods import period_at
from ratelimit.ports import MAX_TTL_MS, BudgetKey, Limit, Period, Reservation, StoreUnavailable
from ratelimit.resp import Address
from ratelimit.scripts import SCRIPTS
from ratelimit.store_valkey import ValkeyAdmissionStore
from tests.support.admission_history import CLAIM_TTL_MS
from tests.support.admission_requests import ALL, PATIENT_MS, RPM, STREAMS, TPM, admission, admit, admitted_at_last, keys
from tests.support.admission_valkey import PuppetClock, scripts
from tests.support.held_answers import HeldAnswers
from tests.support.valkey import TestValkey, valkey, valkey_server
from tests.support.waiting import until

__all__ = ["valkey", "valkey_server"]


@pytest.fixture
async def client(valkey: TestValkey) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.url) as redis:
        yield redis


@pytest.fixture
async def store(valkey: TestValkey) -> AsyncIterator[ValkeyAdmissionStore]:
    connected = store_valkey.connect(valkey.url, PATIENT_MS)
    yield connected
    await connected.aclose()


# --- keys ---


async def test_every_key_of_an_org_has_its_hash_tag_and_an_expiry(store: ValkeyAdmissionStore, client: Redis) -> None:
    request = await admit(store, *ALL)
    day = BudgetKey("org", "user:u", Period.DAY, *period_at(Period.DAY, int(request.reservation_id.replace("-", "")[:12], 16)))
    expected = {layout.bucket("org", RPM), layout.bucket("org", TPM), layout.bucket("org", STREAMS), counter(day)}
    expected |= {layout.due("org"), f"ias2:{{org}}:r:{request.reservation_id}"}
    assert await keys(client, "*") - {layout.NOTED, layout.LOOK} == expected
    for key in expected:
        assert await client.pttl(key) > 0, key
    assert await client.pttl(layout.bucket("org", RPM)) <= 2_000, "a bucket that nothing is held in goes when it is full"


async def test_a_heartbeat_renews_all_that_the_reservation_needs(store: ValkeyAdmissionStore, client: Redis) -> None:
    """Streams live longer than anything expires: as if all that time had passed."""
    request = await admit(store, *ALL)
    needed = await keys(client) - {layout.bucket("org", RPM)}
    for key in needed:
        await client.pexpire(key, 60_000)
    await store.extend([request], MAX_TTL_MS)
    assert {key for key in needed if await client.pttl(key) <= MAX_TTL_MS} == set()


async def test_a_settled_request_leaves_only_what_was_charged(store: ValkeyAdmissionStore, client: Redis) -> None:
    request = await admit(store, *ALL)
    await store.settle([(request, 7)])
    assert {key.split(":")[2] for key in await keys(client)} == {"b", "d", "charged"}


async def test_two_replicas_share_one_bucket(valkey: TestValkey) -> None:
    slow = Limit("requestsPerMinute", "slow", 1, 3_600_000, 3)
    replicas = [store_valkey.connect(valkey.url, PATIENT_MS) for _ in range(2)]
    decisions = [d for replica in replicas for d in await replica.admit([admission(slow), admission(slow)])]
    assert [d.reservation_id is not None for d in decisions] == [True, True, True, False]
    for replica in replicas:
        await replica.aclose()


# --- the index of orgs ---


async def test_what_has_no_event_yet_is_told_again_at_once(valkey: TestValkey, client: Redis) -> None:
    """A client's idea of the server's time is a little behind: the org must not have to wait until it has caught up."""
    clock = PuppetClock()
    async with aclosing(ValkeyAdmissionStore(Address.parse(valkey.url), PATIENT_MS, CLAIM_TTL_MS, scripts(), clock)) as store:
        clock.now_ms = 1_000_000
        await client.set("tests:clock", 1_000_000)
        await admit(store, RPM)
        clock.now_ms += CLAIM_TTL_MS + 100
        await client.set("tests:clock", clock.now_ms + 3)
        found = await store.sweep()
        assert len(found) == 1
        assert await store.sweep() == found


async def test_overdue_reservations_are_found_in_whatever_org(valkey: TestValkey, client: Redis) -> None:
    clock = PuppetClock()
    store = ValkeyAdmissionStore(Address.parse(valkey.url), PATIENT_MS, CLAIM_TTL_MS, scripts(), clock)

    async def at(now_ms: int) -> None:
        clock.now_ms = now_ms
        await client.set("tests:clock", now_ms)

    await at(1_000_000)
    requests = {(await admit(store, RPM, org=f"org-{n}")).reservation_id for n in range(450)}
    extended = await admit(store, RPM, org="busy")
    await store.extend([extended], 60_000)
    await at(1_000_000 + CLAIM_TTL_MS)
    found = await store.sweep()
    assert {s.reservation_id for s in found} == requests
    await store.reported([(s.org_id, s.reservation_id) for s in found])
    assert await store.sweep() == []
    await at(1_000_000 + CLAIM_TTL_MS + IDLE_LOOK_MS + 1)
    assert await store.sweep() == [], "the idle ones are looked at once more"
    assert len(await client.zrange(layout.NOTED, 0, -1)) == 451
    await at(1_000_000 + FORGET_MS + 60_000)
    (late,) = await store.sweep()
    assert late.reservation_id == extended.reservation_id
    assert await client.zrange(layout.NOTED, 0, -1) == [b"busy"]
    await store.reported([("busy", late.reservation_id)])
    await at(1_000_000 + 2 * FORGET_MS)
    assert await store.sweep() == []
    assert await client.exists(layout.NOTED, layout.LOOK) == 0, "an idle org costs nothing"
    await store.aclose()


async def test_an_emptied_server_learns_again_which_orgs_there_are(store: ValkeyAdmissionStore, client: Redis) -> None:
    await admit(store, RPM)
    await client.flushall()
    await client.client_kill_filter(_type="normal", skipme=True)
    await until_lost(store)
    assert (await admitted_at_last(store)).reservation_id is not None
    assert await client.zrange(layout.NOTED, 0, -1) == [b"org"]


async def until_lost(store: ValkeyAdmissionStore) -> None:
    connection = store._urgent._client._connection
    assert connection is not None
    await until(lambda: connection.closed)


# --- the server is there, and refuses or answers late ---


async def test_a_flushed_server_gets_its_scripts_again(store: ValkeyAdmissionStore, client: Redis) -> None:
    request = await admit(store, *ALL)
    await client.script_flush()
    batch = await store.admit([admission(*ALL) for _ in range(3)])
    assert all(d.reservation_id is not None for d in batch)
    await client.script_flush()
    await store.settle([(request, 5)])
    assert f"ias2:{{org}}:r:{request.reservation_id}" not in await keys(client)


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"look"}))
async def test_a_script_that_runs_too_late_does_nothing(client: Redis, name: str) -> None:
    """As after a freeze: `not_after` has passed."""
    seconds, _ = await client.time()
    reply = await client.eval(SCRIPTS[name].source, 1, layout.due("org"), seconds * 1000 - 1)
    assert len(reply) == 1
    assert await client.keys() == []


async def test_a_batch_of_which_one_fails_holds_nothing(store: ValkeyAdmissionStore, client: Redis) -> None:
    """All of it is decided elsewhere."""
    await client.set(layout.bucket("bad", RPM), "garbage")
    with pytest.raises(StoreUnavailable, match="not a bucket"):
        await store.admit([admission(TPM, org="good"), admission(RPM, org="bad")])
    await store.aclose()
    assert await keys(client, "ias2:{good}:*") == set()


@pytest.mark.parametrize("disturb", ["oom", "readonly"])
async def test_a_server_that_refuses_to_write_is_unavailable_until_it_writes_again(store: ValkeyAdmissionStore, client: Redis, disturb: str) -> None:
    request = await admit(store, *ALL)
    try:
        if disturb == "oom":
            await client.config_set("maxmemory", 1)
        else:
            await client.replicaof("127.0.0.1", "1")
        before = await keys(client)
        for call in (
            store.admit([admission(*ALL)]),
            store.hold_again(Reservation("org", "u", "k", str(request.reservation_id)[:-1] + "0"), 5, 1_000),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        assert await keys(client) == before
    finally:
        await client.config_set("maxmemory", 0)
        await client.replicaof("NO", "ONE")
    assert (await admitted_at_last(store)).reservation_id is not None
    await store.settle([(request, 5)])


# --- the server is not there, or not for us ---


async def test_a_server_that_is_gone_is_unavailable() -> None:
    store = store_valkey.connect("redis://127.0.0.1:1", deadline_ms=PATIENT_MS)
    request = Reservation("org", "u", "k", "01900000-0000-7000-8000-000000000000")
    calls = [store.admit([admission(RPM)]), store.extend([request], 1), store.top_up(request, 1), store.hold_again(request, 1, 1)]
    for call in [
        *calls,
        store.settle([(request, 1)]),
        store.sweep(),
        store.reported([("org", "x")]),
        store.budgets([BudgetKey("o", "s", Period.DAY, 0, 1)]),
    ]:
        with pytest.raises(StoreUnavailable):
            await call
    await store.aclose()


async def test_a_lost_connection_is_made_again(store: ValkeyAdmissionStore, client: Redis) -> None:
    await admit(store, RPM)
    for _ in range(3):
        await client.client_kill_filter(_type="normal", skipme=True)
        await until_lost(store)
        assert (await admitted_at_last(store)).reservation_id is not None


async def test_a_connection_that_stays_silent_is_given_up(valkey: TestValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the machine at the other end is gone without a word: waiting for its answer would never end."""
    monkeypatch.setattr(resp, "_SILENT_S", 0.05)
    async with HeldAnswers().before(valkey.url) as link:
        store = store_valkey.connect(link.url, deadline_ms=PATIENT_MS)
        await admit(store, RPM)
        store._urgent.deadline_ms = 20
        link.hold()
        with pytest.raises(StoreUnavailable):
            await store.admit([admission(RPM)])
        await until_lost(store)
        with pytest.raises(StoreUnavailable):
            await store.admit([admission(RPM)])
        link.release()
        store._urgent.deadline_ms = PATIENT_MS
        assert (await admitted_at_last(store)).reservation_id is not None
        await store.aclose()


async def test_user_and_password_are_said_first(valkey: TestValkey, client: Redis) -> None:
    """These rights suffice."""
    rights = ["resetkeys", "~ias2:*", "-@all", "+@read", "+@write", "+@scripting", "+time", "+select", "+auth"]
    await client.execute_command("ACL", "SETUSER", "ias", "on", ">s3:cret", *rights)
    try:
        host = valkey.url.removeprefix("redis://")
        allowed = store_valkey.connect(f"redis://ias:s3%3Acret@{host}/0", PATIENT_MS)
        request = await admit(allowed, *ALL)
        await allowed.extend([request], 1_000)
        await allowed.settle([(request, 1)])
        assert await allowed.sweep() == []
        await allowed.aclose()
        wrong = store_valkey.connect(f"redis://ias:wrong@{host}", PATIENT_MS)
        with pytest.raises(StoreUnavailable) as raised:
            await wrong.admit([admission(RPM)])
        assert "wrong" not in str(raised.value).replace("WRONGPASS", "")
        await wrong.aclose()
    finally:
        await client.execute_command("ACL", "DELUSER", "ias")


async def test_what_does_not_speak_resp_is_unavailable() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    store = store_valkey.connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", PATIENT_MS)
    with pytest.raises(StoreUnavailable):
        await store.admit([admission(RPM)])
    await store.aclose()
    server.close()


@pytest.mark.parametrize("url", ["http://x", "127.0.0.1:6379", ""])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="redis://"):
        store_valkey.connect(url)


def test_addresses() -> None:
    assert Address.parse("unix://:pw@/run/valkey.sock?db=2") == Address("localhost", 6379, "/run/valkey.sock", False, (("AUTH", "pw"), ("SELECT", 2)))
    assert "pw" not in repr(Address.parse("unix://:pw@/run/valkey.sock"))
    assert Address.parse("rediss://u:p@v:1/3") == Address("v", 1, "", True, (("AUTH", "u", "p"), ("SELECT", 3)))
