"""Compares the ledger with the engines' own counters, once for a person (`ias reconcile`) or again and again in the worker."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.reconciliation.ports import CountersReader, CountersUnavailable
from controlplane.reconciliation.repository import ReconciliationRepository
from controlplane.reconciliation.rules import Difference, Tokens, follow
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from ias import logs, telemetry

log = logs.get(__name__)


class EngineReconciler:
    """Looks at every engine. `now` is wall-clock time."""

    def __init__(self, engine: AsyncEngine, counters: CountersReader, now: Callable[[], datetime], tolerance: float) -> None:
        self._engine = engine
        self._counters = counters
        self._now = now
        self._tolerance = tolerance

    async def step(self) -> list[Difference]:
        """Read all counters, keep where they stand, and return the differences. Raises what PostgreSQL raises.

        A model that is seen for the first time is compared from now on, with a difference of nothing.
        """
        async with unit_of_work(self._engine) as uow:
            engines = await ReconciliationRepository(uow, EVERYTHING).engines()
        read = await asyncio.gather(*(self._read(engine.name, engine.base_url) for engine in engines))
        differences = []
        for engine, (at, models) in zip(engines, read, strict=True):
            differences += await self._compare(engine.id, engine.name, at, models)
        return differences

    async def run(self, stop: asyncio.Event, interval_s: float) -> None:
        """Compare every `interval_s` seconds until `stop` is set, for the metrics."""
        while not stop.is_set():
            try:
                self._export(await self.step())
            except (SQLAlchemyError, OSError) as error:
                telemetry.RECONCILE_FAILURES.inc()
                log.warning("the ledger was not compared with the engines", reason=f"{type(error).__name__}: {error}")
            try:
                async with asyncio.timeout(interval_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _read(self, name: str, base_url: str) -> tuple[datetime, dict[str, Tokens]]:
        at = self._now()
        try:
            return at, await self._counters.read(base_url)
        except CountersUnavailable as error:
            telemetry.RECONCILE_FAILURES.inc()
            log.info("an engine shows no counters", backend=name, reason=str(error))
            return at, {}

    async def _compare(self, backend_id: UUID, name: str, at: datetime, models: dict[str, Tokens]) -> list[Difference]:
        differences = []
        async with unit_of_work(self._engine) as uow:
            repository = ReconciliationRepository(uow, EVERYTHING)
            known = await repository.followed(backend_id)
            sums: dict[datetime, dict[tuple[UUID, str], Tokens]] = {}
            for model, seen in sorted(models.items()):
                followed = follow(known.get(model), seen, at)
                await repository.keep(backend_id, model, followed)
                if followed.since not in sums:
                    sums[followed.since] = await repository.ledger_since(followed.since)
                ledger = sums[followed.since].get((backend_id, model), Tokens(0, 0))
                differences.append(Difference(name, model, followed.since, followed.counted, ledger, followed.resets))
        return differences

    def _export(self, differences: list[Difference]) -> None:
        for one in differences:
            telemetry.RECONCILE_DIFFERENCE.labels(one.backend, one.model, "input").set(one.tokens.input)
            telemetry.RECONCILE_DIFFERENCE.labels(one.backend, one.model, "output").set(one.tokens.output)
            alarm = one.is_alarm(self._tolerance)
            telemetry.RECONCILE_ALARM.labels(one.backend, one.model).set(alarm)
            if alarm:
                log.error("the ledger differs from an engine's counters", backend=one.backend, model=one.model, **one.tokens._asdict())
