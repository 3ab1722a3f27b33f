"""Handing reservations over: claims in batches, and what happens to those that nobody claims."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from extproc.claims import ClaimQueue
from extproc.ports import SpoolUnavailable
from extproc.reaper import Reaper
from extproc.spool_files import SpoolFiles
from ias import context
from ias.spool_format import Opened
from ratelimit.ports import Admission, StoreUnavailable, Unclaimed
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.ext_proc import NOW_MS, some_context
from tests.support.spools import outcomes
from tests.support.usage_events import some_id
from tests.support.waiting import until

ORG = some_id(1)


class Store(MemoryAdmissionStore):
    """The store in memory, whose time the test sets and which can be away."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        super().__init__(lambda: self.now_ms)
        self.away = False
        self.batches: list[int] = []

    async def admitted(self, claim: bytes, number: int = 0) -> str:
        (decision,) = await self.admit([Admission(ORG, number, (), claim)])
        assert decision.reservation_id is not None
        return decision.reservation_id

    async def claim(self, reservations: Sequence[tuple[str, str]]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.batches.append(len(reservations))
        await super().claim(reservations)

    async def left(self) -> list[str]:
        self.now_ms += 60_000
        return [unclaimed.reservation_id for unclaimed in await self.unclaimed()]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def spool(tmp_path: Path) -> SpoolFiles:
    return SpoolFiles(tmp_path, lambda: NOW_MS)


async def until_claimed(queue: ClaimQueue, *reservations: str) -> None:
    await until(lambda: not any(map(queue.is_pending, reservations)))


async def test_claims_of_a_moment_go_in_one_batch(store: Store, spool: SpoolFiles) -> None:
    queue = ClaimQueue(store, spool, interval_s=0.005)
    ids = [await store.admitted(b"", number) for number in range(3)]
    running = asyncio.ensure_future(queue.run())
    for reservation_id in ids:
        queue.add(ORG, reservation_id)
    await until_claimed(queue, *ids)
    queue.close()
    await running
    assert store.batches == [3]
    assert await store.left() == []


async def test_claims_wait_while_the_store_is_away(store: Store, spool: SpoolFiles) -> None:
    queue = ClaimQueue(store, spool, interval_s=0.001)
    reservation_id = await store.admitted(b"")
    store.away = True
    queue.add(ORG, reservation_id)
    with pytest.raises(StoreUnavailable):
        await queue.flush()
    running = asyncio.ensure_future(queue.run())
    with capture_logs() as lines:
        await until(lambda: lines)
    store.away = False
    await until_claimed(queue, reservation_id)
    queue.close()
    await running
    assert await store.left() == []


async def test_nothing_is_claimed_that_a_power_failure_could_take(store: Store, spool: SpoolFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = ClaimQueue(store, spool)
    queue.add(ORG, await store.admitted(b""))
    with monkeypatch.context() as failing:
        failing.setattr(SpoolFiles, "sync", _refuse)
        with pytest.raises(SpoolUnavailable):
            await queue.flush()
    assert store.batches == []
    await queue.flush()
    assert store.batches == [1]


async def _refuse(_: SpoolFiles) -> None:
    raise SpoolUnavailable("disk full")


async def test_the_queue_is_bounded_and_drops_the_oldest(store: Store, spool: SpoolFiles) -> None:
    queue = ClaimQueue(store, spool, limit=2)
    for number in range(3):
        queue.add(ORG, str(number))
    assert [queue.is_pending(str(number)) for number in range(3)] == [False, True, True]


def reaper(store: Store, spool: SpoolFiles, queue: ClaimQueue | None = None) -> Reaper:
    return Reaper(store, spool, queue or ClaimQueue(store, spool), lambda: NOW_MS)


async def test_what_nobody_claimed_is_closed_as_lost_once(store: Store, spool: SpoolFiles, tmp_path: Path) -> None:
    admitted = some_context(model="chat", reservation_id="")
    reservation_id = await store.admitted(context.encode(admitted))
    assert await reaper(store, spool).reap() == 0  # its time has not come

    store.now_ms += 10_000
    assert await reaper(store, spool).reap() == 1
    assert await reaper(store, spool).reap() == 0
    assert outcomes(tmp_path) == {reservation_id: "lost"}


async def test_what_is_open_here_is_claimed_instead(store: Store, spool: SpoolFiles, tmp_path: Path) -> None:
    reservation_id = await store.admitted(context.encode(some_context()))
    spool.open(Opened(some_context(reservation_id=reservation_id), NOW_MS))
    queue = ClaimQueue(store, spool)

    store.now_ms += 10_000
    assert await reaper(store, spool, queue).reap() == 0
    await queue.flush()
    assert outcomes(tmp_path) == {}
    assert await store.left() == []


async def test_what_ended_here_with_its_claim_still_waiting_is_left_alone(store: Store, spool: SpoolFiles, tmp_path: Path) -> None:
    reservation_id = await store.admitted(context.encode(some_context()))
    queue = ClaimQueue(store, spool)
    queue.add(ORG, reservation_id)
    store.now_ms += 10_000
    assert await reaper(store, spool, queue).reap() == 0
    assert outcomes(tmp_path) == {}


async def test_nothing_leaves_the_store_before_it_is_on_disk(
    store: Store, spool: SpoolFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservation_id = await store.admitted(context.encode(some_context()))
    store.now_ms += 10_000

    with monkeypatch.context() as failing:
        failing.setattr(SpoolFiles, "sync", _refuse)
        with pytest.raises(SpoolUnavailable):
            await reaper(store, spool).reap()
    assert outcomes(tmp_path) == {}
    assert await store.unclaimed() == [Unclaimed(ORG, reservation_id, context.encode(some_context()))]


async def test_an_unreadable_claim_is_dropped_loudly(store: Store, spool: SpoolFiles, tmp_path: Path) -> None:
    reservation_id = await store.admitted(b"garbage")
    store.now_ms += 10_000
    with capture_logs() as lines:
        await reaper(store, spool).reap()
    assert [line["reservation_id"] for line in lines] == [reservation_id]
    assert await store.left() == []


async def test_the_reaper_goes_on_while_the_store_is_away(store: Store, spool: SpoolFiles, tmp_path: Path) -> None:
    reservation_id = await store.admitted(context.encode(some_context()))
    store.now_ms += 10_000
    store.away = True
    finish = asyncio.Event()
    running = asyncio.ensure_future(Reaper(store, spool, ClaimQueue(store, spool), lambda: NOW_MS, interval_s=0.001).run(finish))
    await until(lambda: outcomes(tmp_path))
    store.away = False
    await until(lambda: store.batches)
    finish.set()
    await running
    assert await store.left() == []
    assert outcomes(tmp_path) == {reservation_id: "lost"}
