"""What the admission store is told: heartbeats of live requests, charges of ended ones, more for those that grow."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from extproc.heartbeats import Heartbeats
from extproc.ports import SpoolUnavailable
from extproc.recording import closed, recorded
from extproc.settlements import Settlements
from extproc.spool_files import SpoolFiles
from extproc.store_loop import StoreLoop
from extproc.tokens import Tokens
from ias.context import RequestContext
from ias.spool_format import Opened
from ias.usage_event import Outcome, UsageSource
from ratelimit.ports import Held, Sample, StoreUnavailable
from tests.support.ext_proc import NOW_MS, some_context
from tests.support.holds import BUDGET, ToldStore
from tests.support.spools import write_closed, write_opened
from tests.support.usage_events import some_id
from tests.support.waiting import until

TTL_MS = 60_000


class Desk:
    """A store, a spool, and what tells the one of the other. Time is the store's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = ToldStore()
        self.spool = SpoolFiles(directory, lambda: NOW_MS)
        self.heartbeats = Heartbeats(self.store, self.spool, lambda: float(self.store.now_ms), TTL_MS)
        self.settlements = Settlements(self.store, self.spool)
        self.loop = StoreLoop(self.heartbeats, self.settlements, self.spool, 0.001)
        self.used = 0
        """By every request so far."""

    async def begun(self, number: int = 0, **changes: int) -> RequestContext:
        context = await self.store.admitted(number, **changes)
        self.begin(context)
        return context

    def begin(self, context: RequestContext) -> None:
        write_opened(self.spool, Opened(context, NOW_MS))
        self.heartbeats.begin(context, lambda: self.used)

    def end(self, context: RequestContext, tokens: Tokens) -> None:
        write_closed(self.spool, closed(context, recorded(context, Outcome.COMPLETE, ended_at_ms=NOW_MS, tokens=tokens)))
        self.heartbeats.end(context.reservation_id)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.spool.release()


async def test_a_request_is_claimed_at_once_and_kept_alive_by_a_beat_every_third_of_its_time(desk: Desk) -> None:
    context = await desk.begun()
    for minutes in range(30):
        await desk.loop.tell()
        assert len(desk.store.extended) == minutes + 1
        await desk.loop.tell()
        assert len(desk.store.extended) == minutes + 1, "not before its time"
        assert await desk.store.sweep() == []
        desk.store.now_ms += TTL_MS // 3
    desk.end(context, Tokens(3, output=4))
    await desk.loop.tell()
    assert await desk.store.budget() == (7, 0)


async def test_all_that_is_due_goes_in_one_batch_and_what_ended_does_not(desk: Desk) -> None:
    contexts = [await desk.begun(number) for number in range(4)]
    desk.end(contexts[1], Tokens(output=1))
    await desk.loop.tell()
    assert desk.store.extended == [[context.reservation_id for context in contexts if context is not contexts[1]]]


async def test_nothing_is_claimed_or_settled_that_a_power_failure_could_take(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    context = await desk.begun()
    with monkeypatch.context() as failing:
        failing.setattr(SpoolFiles, "sync", _refuse)
        with pytest.raises(SpoolUnavailable):
            await desk.loop.tell()
        desk.end(context, Tokens(output=1))
        with pytest.raises(SpoolUnavailable):
            await desk.loop.tell()
    assert (desk.store.extended, desk.store.settled) == ([], [])
    await desk.loop.tell()
    assert desk.store.settled == [{context.reservation_id: 1}]


async def _refuse(_: SpoolFiles) -> None:
    raise SpoolUnavailable("disk full")


async def test_what_ended_is_charged_what_it_used_once(desk: Desk) -> None:
    contexts = [await desk.begun(number, held=100) for number in range(3)]
    await desk.loop.tell()
    for number, context in enumerate(contexts):
        desk.end(context, Tokens(10, output=number))
    await desk.loop.tell()
    await desk.loop.tell()
    assert desk.store.settled == [{context.reservation_id: 10 + number for number, context in enumerate(contexts)}]
    assert await desk.store.budget() == (33, 0)
    assert desk.spool.owed == {}


async def test_charges_wait_while_the_store_is_away_and_survive_a_restart(desk: Desk) -> None:
    first, second = await desk.begun(1), await desk.begun(2)
    desk.store.away = True
    desk.end(first, Tokens(output=5))
    with pytest.raises(StoreUnavailable):
        await desk.loop.tell()
    desk.spool.release()

    again = Desk(desk.directory)
    again.store.away = False
    again.settlements = Settlements(desk.store, again.spool)
    desk.store.away = False
    await again.settlements.settle(again.settlements.due())
    # The second was open when the process died: lost, with what was held for it.
    assert desk.store.settled == [{first.reservation_id: 5, second.reservation_id: 100}]
    assert await desk.store.budget() == (105, 0)
    desk.spool = again.spool


async def test_only_what_the_engine_reported_teaches(desk: Desk) -> None:
    reported, counted = await desk.begun(1, body_bytes=40), await desk.begun(2, body_bytes=40)
    desk.end(reported, Tokens(7, output=9, source=UsageSource.REPORTED))
    desk.end(counted, Tokens(7, output=9, source=UsageSource.COUNTED))
    await desk.loop.tell()
    assert desk.store.samples == {reported.reservation_id: Sample(some_id(4), 40, 7, 9)}


async def test_a_hold_that_the_store_has_lost_is_made_again_as_large_as_it_had_become(desk: Desk) -> None:
    context = await desk.begun(held=100)
    await desk.loop.tell()
    assert await desk.heartbeats.top_up(context, 50) is Held.GRANTED
    desk.store._state = type(desk.store._state)()  # as if restarted empty
    desk.store.now_ms += TTL_MS // 3
    await desk.loop.tell()
    assert desk.store.held_again == {context.reservation_id: 150}
    assert await desk.store.top_up(_reservation(desk, context), 1) is Held.GRANTED


async def test_each_beat_tells_what_was_used_so_far(desk: Desk) -> None:
    context = await desk.begun()
    await desk.loop.tell()
    desk.used = 40
    desk.store.now_ms += TTL_MS // 3
    await desk.loop.tell()
    assert desk.store.used == [{context.reservation_id: 0}, {context.reservation_id: 40}]


async def test_a_hold_is_made_again_at_once_when_a_top_up_finds_it_gone(desk: Desk) -> None:
    context = some_context(held_tokens=100, in_store=False)
    desk.begin(context)
    assert await desk.heartbeats.top_up(context, 50) is Held.UNKNOWN
    await desk.loop.tell()
    assert desk.store.held_again == {context.reservation_id: 150}


async def test_what_ended_is_never_held_again(desk: Desk) -> None:
    context = some_context(in_store=False)
    desk.begin(context)
    extend = desk.store.extend

    async def ends_meanwhile(*arguments: object) -> list[Held]:
        desk.end(context, Tokens(output=1))
        return await extend(*arguments)  # type: ignore[arg-type]

    desk.store.extend = ends_meanwhile  # type: ignore[method-assign, assignment]
    await desk.loop.tell()
    await desk.loop.tell()
    assert (desk.store.held_again, desk.store.settled) == ({}, [{context.reservation_id: 1}])


async def test_one_sync_serves_a_turn_and_what_comes_meanwhile_waits_for_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = [await desk.begun(number) for number in range(3)]
    desk.end(first, Tokens(output=1))
    syncs: list[None] = []
    sync = SpoolFiles.sync

    async def counted(spool: SpoolFiles) -> None:
        syncs.append(None)
        await sync(spool)
        if len(syncs) == 1:
            desk.end(second, Tokens(output=2))

    monkeypatch.setattr(SpoolFiles, "sync", counted)
    await desk.loop.tell()
    assert (desk.store.extended, desk.store.settled) == ([[third.reservation_id]], [{first.reservation_id: 1}])
    assert len(syncs) == 1
    await desk.loop.tell()
    assert desk.store.settled[1:] == [{second.reservation_id: 2}]


def _reservation(desk: Desk, context: RequestContext) -> object:
    return desk.heartbeats._live[context.reservation_id].reservation


async def test_a_top_up_is_held_and_recorded_and_a_refused_one_is_not(desk: Desk) -> None:
    context = await desk.begun(held=100)
    assert await desk.heartbeats.top_up(context, 50) is Held.GRANTED
    assert await desk.heartbeats.top_up(context, BUDGET) is Held.OVER
    assert await desk.store.budget() == (0, 150)
    desk.spool.release()
    desk.spool = SpoolFiles(desk.directory, lambda: NOW_MS)
    (owed,) = desk.spool.owed.values()
    assert owed.input_tokens + owed.output_tokens == 150


async def test_while_the_store_is_away_nothing_more_is_held(desk: Desk) -> None:
    context = await desk.begun(held=100)
    desk.store.away = True
    assert await desk.heartbeats.top_up(context, 50) is None
    assert desk.heartbeats._live[context.reservation_id].held == 100


async def test_a_top_up_of_a_request_that_has_ended_is_refused(desk: Desk) -> None:
    assert await desk.heartbeats.top_up(some_context(), 1) is Held.OVER


async def test_the_loop_says_once_that_the_store_is_away_and_once_that_it_is_back(desk: Desk) -> None:
    context = await desk.begun()
    desk.store.away = True
    finish = asyncio.Event()
    with capture_logs() as lines:
        running = asyncio.ensure_future(desk.loop.run(finish))
        await until(lambda: lines)
        desk.end(context, Tokens(output=2))
        desk.store.away = False
        await until(lambda: len(lines) == 2)
        await until(lambda: desk.store.settled)
        finish.set()
        await running
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert await desk.store.budget() == (2, 0)
