"""Probes backends when their time has come, in any number of processes: each turn is taken by one (`BackendRepository.take_turns`)."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.backends.ports import Change, Probing, Turn
from controlplane.backends.repository import BackendRepository
from controlplane.catalog.service import Discoverer
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs

PROBES_AT_ONCE = 32
LOOK_S = 0.5
"""How often it is looked whose time has come."""

log = logs.get(__name__)


class BackendProber:
    """Probes, keeps what was found, has the catalog follow, and calls `on_change` when a backend has moved, or whether it may be called changed."""

    def __init__(self, engine: AsyncEngine, probing: Probing, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._probing = probing
        self._on_change = on_change
        self._discoverer = Discoverer()

    async def run(self) -> None:
        """Probe until cancelled. A slow engine holds one of the places, and nobody else up; a database that is down is waited for."""
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    turns = await self._take(PROBES_AT_ONCE - len(running))
                except Exception:
                    log.exception("backends are not probed", retry_in_seconds=LOOK_S)
                    turns = []
                for turn in turns:
                    task = group.create_task(self._guarded(turn))
                    running.add(task)
                    task.add_done_callback(running.discard)
                await asyncio.sleep(LOOK_S)

    async def probe_all(self) -> None:
        """Probe every backend once, whosever time it is."""
        async with unit_of_work(self._engine) as uow:
            turns = await BackendRepository(uow, EVERYTHING).take_turns(1_000_000, self._probing.intervals, due=False)
        places = asyncio.Semaphore(PROBES_AT_ONCE)

        async def one(turn: Turn) -> None:
            async with places:
                await self._take_turn(turn)

        async with asyncio.TaskGroup() as group:
            for turn in turns:
                group.create_task(one(turn))

    async def _take(self, most: int) -> list[Turn]:
        if most <= 0:
            return []
        async with unit_of_work(self._engine) as uow:
            return list(await BackendRepository(uow, EVERYTHING).take_turns(most, self._probing.intervals))

    async def _guarded(self, turn: Turn) -> None:
        try:
            await self._take_turn(turn)
        except Exception:
            log.exception("a backend was not probed", backend_id=str(turn.backend_id))

    async def _take_turn(self, turn: Turn) -> None:
        at = datetime.now(UTC)
        verdict = await self._probing.prober.probe(turn.probe)
        async with unit_of_work(self._engine) as uow:
            change = await BackendRepository(uow, EVERYTHING).record(turn.backend_id, verdict, at, self._probing.thresholds)
        if change is not None:
            self._tell(change)
        await self._discoverer.take(self._engine, turn.backend_id, verdict.told_in_health, at)

    def _tell(self, change: Change) -> None:
        log.info("backend changed", backend=change.name, base_url=change.base_url, health=change.health.value, reason=change.reason)
        if change.denial or change.moved:
            self._on_change()
