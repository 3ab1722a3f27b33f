"""Admitted requests that nobody ends become one event each, and are charged what it says."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from extproc.reaper import Reaper
from extproc.recording import closed, recorded
from extproc.spool_files import SpoolFiles
from extproc.tokens import Tokens
from ias.spool_format import Closed
from ias.usage_event import Outcome, RequestRecorded, UsageSource
from ratelimit.ports import Admission, Reservation, Swept
from tests.support.ext_proc import NOW_MS
from tests.support.spools import outcomes, records, write_closed
from tests.support.usage_events import some_id
from tests.support.waiting import until
from tests.unit.extproc.test_store_loop import TTL_MS, Desk, _refuse

LONG_MS = 2 * TTL_MS


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def reaper(desk: Desk) -> Reaper:
    return Reaper(desk.store, desk.spool, desk.heartbeats, lambda: NOW_MS, interval_s=0.001)


def events(desk: Desk) -> list[RequestRecorded]:
    return [record.event for record in records(desk.directory) if isinstance(record, Closed)]


async def test_what_never_arrived_is_lost_and_costs_nothing(desk: Desk) -> None:
    context = await desk.store.admitted(held=100)
    assert await reaper(desk).reap() == 0  # its time has not come

    desk.store.now_ms += LONG_MS
    assert await reaper(desk).reap() == 1
    assert await reaper(desk).reap() == 0
    (event,) = events(desk)
    assert (event.event_id, event.outcome, event.input_tokens, event.output_tokens) == (context.reservation_id, Outcome.LOST, 0, 0)
    assert await desk.store.budget() == (0, 0)
    assert desk.spool.owed == {}


async def test_what_another_process_left_is_lost_and_costs_what_was_held(desk: Desk) -> None:
    context = await desk.store.admitted(held=100)
    reservation = Reservation(context.org_id, context.user_id, context.key_id, context.reservation_id)
    await desk.store.extend([reservation], TTL_MS)
    await desk.store.top_up(reservation, 20)

    desk.store.now_ms += LONG_MS
    assert await reaper(desk).reap() == 1
    (event,) = events(desk)
    assert (event.outcome, event.input_tokens, event.output_tokens, event.held_tokens) == (Outcome.LOST, 10, 110, 120)
    assert event.usage_source is UsageSource.ESTIMATED
    assert await desk.store.budget() == (120, 0)

    # It was alive after all: what it says in the end is what is charged.
    await desk.store.settle([(reservation, 30)])
    assert await desk.store.budget() == (30, 0)


async def test_what_is_alive_here_is_brought_back(desk: Desk) -> None:
    context = await desk.begun(held=100)
    await desk.loop.tell()
    desk.store.now_ms += LONG_MS
    assert await reaper(desk).reap() == 0
    assert await desk.store.budget() == (100, 0)

    await desk.loop.tell()
    assert await desk.store.budget() == (0, 100)
    desk.end(context, Tokens(output=7))
    await desk.loop.tell()
    assert (outcomes(desk.directory), await desk.store.budget()) == ({context.reservation_id: "complete"}, (7, 0))


async def test_what_ended_here_and_is_not_settled_yet_is_left_alone(desk: Desk) -> None:
    context = await desk.begun(held=100)
    await desk.loop.tell()
    write_closed(desk.spool, closed(context, recorded(context, Outcome.COMPLETE, ended_at_ms=NOW_MS, tokens=Tokens(output=7))))
    desk.heartbeats.end(context.reservation_id)
    desk.store.now_ms += LONG_MS
    assert await reaper(desk).reap() == 0
    await desk.loop.tell()
    assert (outcomes(desk.directory), await desk.store.budget()) == ({context.reservation_id: "complete"}, (7, 0))


async def test_what_is_settled_here_while_the_store_answers_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    context = await desk.begun(held=100)
    await desk.loop.tell()
    desk.end(context, Tokens(output=7))
    desk.store.now_ms += LONG_MS
    sweep = desk.store.sweep

    async def slow_sweep() -> list[Swept]:
        found = await sweep()
        await desk.loop.tell()
        return found

    monkeypatch.setattr(desk.store, "sweep", slow_sweep)
    assert await reaper(desk).reap() == 0
    assert ([event.outcome for event in events(desk)], await desk.store.budget()) == ([Outcome.COMPLETE], (7, 0))


async def test_nothing_leaves_the_store_before_it_is_on_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.store.admitted()
    desk.store.now_ms += LONG_MS
    with monkeypatch.context() as failing:
        failing.setattr(SpoolFiles, "sync", _refuse)
        with pytest.raises(Exception, match="disk full"):
            await reaper(desk).reap()
    assert events(desk) == []
    assert len(await desk.store.sweep()) == 1


async def test_an_unreadable_claim_is_dropped_loudly(desk: Desk) -> None:
    await desk.store.admit([Admission(some_id(1), 1, (), b"garbage")])
    desk.store.now_ms += LONG_MS
    with capture_logs() as lines:
        await reaper(desk).reap()
    assert [line["log_level"] for line in lines] == ["error"]
    assert await desk.store.sweep() == []


async def test_the_reaper_goes_on_while_the_store_is_away(desk: Desk) -> None:
    context = await desk.store.admitted()
    desk.store.now_ms += LONG_MS
    desk.store.away = True
    finish = asyncio.Event()
    with capture_logs() as lines:
        running = asyncio.ensure_future(reaper(desk).run(finish))
        await until(lambda: lines)
        desk.store.away = False
        await until(lambda: outcomes(desk.directory))
        finish.set()
        await running
    assert outcomes(desk.directory) == {context.reservation_id: "lost"}
    assert await desk.store.sweep() == []
