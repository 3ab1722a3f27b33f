"""Nobody waits longer than the deadline for Valkey, and what comes later leaves nothing behind."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from redis.asyncio import Redis

from ratelimit import layout, store_valkey
from ratelimit.ports import StoreUnavailable
from tests.support.admission_requests import ALL, PATIENT_MS, RESERVATIONS, RPM, admission, admit, admitted_at_last, keys
from tests.support.held_answers import HeldAnswers
from tests.support.valkey import TestValkey, valkey, valkey_server

__all__ = ["valkey", "valkey_server"]


@pytest.fixture
async def client(valkey: TestValkey) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.url) as redis:
        yield redis


async def test_an_answer_that_comes_too_late_leaves_nothing_held(valkey: TestValkey, client: Redis) -> None:
    """The request was decided without it."""
    async with HeldAnswers().before(valkey.url) as link:
        store = store_valkey.connect(link.url, deadline_ms=PATIENT_MS)
        await admit(store, *ALL)
        kept = await keys(client, RESERVATIONS)
        store._urgent.deadline_ms = 20
        link.hold()
        errors = []
        for _ in range(3):
            with pytest.raises(StoreUnavailable) as raised:
                await store.admit([admission(*ALL)])
            errors.append(str(raised.value))
        assert "still unanswered" not in errors[0]
        assert all("still unanswered" in error for error in errors[1:]), "a silent server costs one deadline, not one for each request"
        await until_kept(client, lambda found: len(found) == 2)
        link.release()
        await until_kept(client, lambda found: found == kept)
        await store.aclose()


async def until_kept(client: Redis, good: Callable[[set[str]], bool]) -> None:
    async with asyncio.timeout(20):
        while not good(await keys(client, RESERVATIONS)):  # noqa: ASYNC110 -- another process changes it
            await asyncio.sleep(0.01)


async def test_a_slow_server_delays_no_admission_and_loses_no_settlement(valkey: TestValkey, client: Redis) -> None:
    async with HeldAnswers().before(valkey.url) as link:
        store = store_valkey.connect(link.url, deadline_ms=PATIENT_MS)
        request = await admit(store, *ALL)
        await store.extend([request], 60_000)
        store._urgent.deadline_ms = 20
        link.hold()
        with pytest.raises(StoreUnavailable):
            await store.admit([admission(*ALL)])
        settling = asyncio.ensure_future(store.settle([(request, 5)]))
        await until_kept(client, lambda found: f"ias2:{{org}}:r:{request.reservation_id}" not in found)
        link.release()
        await settling
        await store.aclose()


async def test_a_frozen_server_charges_nobody_when_it_wakes(valkey: TestValkey, client: Redis) -> None:
    store = store_valkey.connect(valkey.url, deadline_ms=PATIENT_MS)
    await admit(store, RPM)
    before = await client.get(layout.bucket("org", RPM))
    store._urgent.deadline_ms = 20
    with valkey.frozen():
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await store.admit([admission(RPM)])
        await asyncio.sleep(0.1)  # beyond `not_after`
    store._urgent.deadline_ms = PATIENT_MS
    (decision,) = [await admitted_at_last(store)]
    assert decision.reservation_id is not None
    level, seen = (int(n) for n in (await client.get(layout.bucket("org", RPM))).split(b":")[:2])
    level_before, seen_before = (int(n) for n in before.split(b":")[:2])
    assert level == max(0, level_before - (seen - seen_before) * RPM.refill) + RPM.period_ms, "only the last one was charged"
    await store.aclose()


async def test_a_loop_that_was_late_itself_still_takes_the_answer(valkey: TestValkey) -> None:
    store = store_valkey.connect(valkey.url, PATIENT_MS)
    await admit(store, RPM)
    store._urgent.deadline_ms = 500
    call = asyncio.ensure_future(store.admit([admission(RPM)]))
    asyncio.get_running_loop().call_soon(time.sleep, 0.6)  # as a body of 10 MiB would
    (decision,) = await call
    assert decision.reservation_id is not None
    await store.aclose()


async def test_a_loop_that_was_late_itself_gives_a_silent_server_no_second_deadline(valkey: TestValkey) -> None:
    late: list[float] = []
    async with HeldAnswers().before(valkey.url) as link:
        store = store_valkey.connect(link.url, PATIENT_MS, loop_was_late=late.append)
        await admit(store, RPM)
        store._urgent.deadline_ms = 600
        link.hold()
        asked = time.monotonic()
        call = asyncio.ensure_future(store.admit([admission(RPM)]))
        asyncio.get_running_loop().call_soon(time.sleep, 0.7)
        with pytest.raises(StoreUnavailable):
            await call
        waited = time.monotonic() - asked
        link.release()
        await store.aclose()
    assert waited < 1.1
    (late_s,) = late
    assert 0.1 < late_s < 0.5, "that part of the wait was our own"


def test_an_answer_that_came_while_the_loop_was_busy_is_found(valkey: TestValkey) -> None:
    """uvloop runs a deadline after what it saw when it looked last, and has not looked since."""

    async def busy() -> None:
        store = store_valkey.connect(valkey.url, PATIENT_MS)
        await admit(store, RPM)
        store._urgent.deadline_ms = 200
        loop, (here, there) = asyncio.get_running_loop(), socket.socketpair()
        frozen = contextlib.ExitStack()

        def long_work() -> None:
            here.recv(1)
            frozen.close()  # the answer comes while this runs
            time.sleep(0.3)

        loop.add_reader(here, long_work)
        try:
            frozen.enter_context(valkey.frozen())
            call = asyncio.ensure_future(store.admit([admission(RPM)]))
            await asyncio.sleep(0)
            there.send(b"x")
            assert (await call)[0].reservation_id is not None
        finally:
            frozen.close()
            loop.remove_reader(here)
            here.close()
            there.close()
            await store.aclose()

    uvloop.run(busy())
