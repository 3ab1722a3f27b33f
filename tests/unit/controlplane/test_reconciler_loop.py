"""When the loop that keeps the gateway looks at it: at its start, when woken, at intervals if that is its part, and again after failures."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.gateway.ports import GatewayUnreachable
from controlplane.publishing import reconciler
from controlplane.publishing.reconciler import NoGateway, Reconciler


class Counted(Reconciler):
    """Counts its looks, and fails when told to."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(None, NoGateway(), **chosen)  # type: ignore[arg-type]
        self.looks = 0
        self.fails = False

    async def _reconcile(self) -> None:
        self.looks += 1
        if self.fails:
            raise GatewayUnreachable("away")


@asynccontextmanager
async def running(loop: Counted) -> Any:
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_does_not_lead_looks_when_woken_only() -> None:
    loop = Counted(interval_s=0.01, resyncs=lambda: False)
    async with running(loop):
        assert loop.looks == 1
        loop.wake()
        await asyncio.sleep(0.05)
        assert loop.looks == 2


async def test_who_leads_looks_at_intervals() -> None:
    loop = Counted(interval_s=0.01)
    async with running(loop):
        assert loop.looks > 2


async def test_failures_are_tried_again_later_and_later_by_whoever_met_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "RETRY_SECONDS", 0.02)
    loop = Counted(interval_s=60, resyncs=lambda: False)
    loop.fails = True
    async with running(loop):
        await asyncio.sleep(0.25)
        assert 3 <= loop.looks <= 5, "at 0, 0.02, 0.06, 0.14, 0.3 s"
