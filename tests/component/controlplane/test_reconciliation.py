"""The ledger beside the counters of a real engine process."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from controlplane.egress.egress_http import open_egress
from controlplane.ids import new_id
from controlplane.reconciliation.counters_http import HttpCountersReader
from controlplane.reconciliation.ports import CountersUnavailable
from controlplane.reconciliation.rules import Tokens
from controlplane.reconciliation.service import EngineReconciler
from controlplane.usage.ledger_postgres import PostgresLedger
from ias.ids import uuid7
from ias.telemetry import REGISTRY
from tests.component.controlplane.world import World
from tests.support.simulator import running_simulator
from tests.support.usage_events import event

BACKEND = """INSERT INTO backends (id, name, base_url, kind) VALUES (:id, :name, :url, 'openai')"""
PUBLICATION = """INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status)
  VALUES (:id, 'chat', :org, 'openai', 'sim-chat', :backend, 'published')"""


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    yield ledger
    await ledger.close()


@pytest.fixture
def reconciler(world: World) -> Iterator[EngineReconciler]:
    with open_egress((ip_network("127.0.0.0/8"),)) as egress:
        yield EngineReconciler(world.engine, HttpCountersReader(egress), lambda: datetime.now(UTC), 0.01)


async def ask(url: str) -> Tokens:
    """Let the engine answer one request and return what it says it used."""
    body = {"model": "sim-chat", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 5}
    async with httpx2.AsyncClient(base_url=url) as client:
        usage = (await client.post("/v1/chat/completions", json=body, timeout=30)).json()["usage"]
    return Tokens(usage["prompt_tokens"], usage["completion_tokens"])


async def test_the_ledger_is_compared_with_what_an_engine_has_counted(
    world: World, ledger: PostgresLedger, reconciler: EngineReconciler, tmp_path: Path
) -> None:
    backend, publication = new_id(), new_id()
    with running_simulator(tmp_path, "--models", "sim-chat") as engine:
        await world.rows(BACKEND + " RETURNING id", id=backend, name="sim", url=engine.url)
        await world.rows(BACKEND + " RETURNING id", id=new_id(), name="dead", url="http://127.0.0.1:1")
        await world.rows(PUBLICATION + " RETURNING id", id=publication, org=world.orgs["alpha"], backend=backend)
        await ask(engine.url)
        (first,) = await reconciler.step()
        assert (first.backend, first.model, first.tokens) == ("sim", "sim-chat", Tokens(0, 0)), "what was before is not compared"

        used = [await ask(engine.url) for _ in range(3)]
        total = Tokens(sum(one.input for one in used), sum(one.output for one in used))
        (before,) = await reconciler.step()
        assert (before.engine, before.ledger, before.tokens) == (total, Tokens(0, 0), total)

        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        events = [
            event(
                number,
                event_id=str(uuid7(now_ms)),
                publication_id=str(publication),
                input_tokens=tokens.input,
                output_tokens=tokens.output,
            )
            for number, tokens in enumerate(used)
        ]
        await ledger.write(events, {})
        (after,) = await reconciler.step()
        assert (after.since, after.tokens) == (first.since, Tokens(0, 0))
        reconciler._export([before])
        assert (
            REGISTRY.get_sample_value("ias_reconcile_difference_tokens", {"backend": "sim", "model": "sim-chat", "direction": "output"})
            == total.output
        )

    with running_simulator(tmp_path, "--models", "sim-chat") as engine:
        await world.rows("UPDATE backends SET base_url = :url WHERE id = :id RETURNING id", id=backend, url=engine.url)
        await ask(engine.url)
        (restarted,) = await reconciler.step()
        assert (restarted.tokens, restarted.resets) == (Tokens(0, 0), 1)


async def test_an_engine_that_shows_no_counters_is_left_out(world: World, reconciler: EngineReconciler) -> None:
    await world.rows(BACKEND + " RETURNING id", id=new_id(), name="dead", url="http://127.0.0.1:1")
    assert await reconciler.step() == []


async def test_an_engine_whose_address_is_denied_is_not_asked(world: World) -> None:
    await world.rows(BACKEND + " RETURNING id", id=new_id(), name="inside", url="http://10.0.0.5:8000")
    with open_egress(()) as egress:
        with pytest.raises(CountersUnavailable, match=r"egress_denied: 10\.0\.0\.5"):
            await HttpCountersReader(egress).read("http://10.0.0.5:8000")
        assert await EngineReconciler(world.engine, HttpCountersReader(egress), lambda: datetime.now(UTC), 0.01).step() == []
