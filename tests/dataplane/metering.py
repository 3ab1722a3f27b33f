"""The real extproc behind a real Envoy, between a stand-in for extauth that signs contexts and an engine of the test's choice."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from extproc.grpc_service import ProcessService
from extproc.heartbeats import Heartbeats
from extproc.machine import Rules
from extproc.settlements import Settlements
from extproc.spool_files import SpoolFiles
from extproc.store_loop import StoreLoop
from ias import headers
from ias.context import sign
from ias.spool_format import Closed, Opened
from ias.usage_event import RequestRecorded
from protos import auth_pb2
from standalone.engine_simulator.app import Engine as Simulator
from standalone.engine_simulator.behaviour import Behaviour
from standalone.engine_simulator.http import serve as serve_simulator
from standalone.engine_simulator.meters import Entry, Meters, read_journal
from tests.dataplane.stand_ins import GOOD_KEY, Engine, Extauth
from tests.support.ext_proc import KEYS, some_context
from tests.support.holds import ToldStore
from tests.support.spools import records
from tests.support.waiting import until

MODEL = "chat"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class SigningExtauth(Extauth):
    """Signs a real context for each request it passes."""

    def __init__(self) -> None:
        super().__init__()
        self.context: dict[str, Any] = {}
        self.forge = False

    def _decide(self, request: auth_pb2.AttributeContext.HttpRequest) -> auth_pb2.CheckResponse:
        answer = super()._decide(request)
        body = json.loads(request.raw_body)
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        admitted: dict[str, Any] = {
            "request_id": request.headers["x-request-id"],
            "path": request.path,
            "signed_at_ms": now_ms(),
            "stream": body.get("stream", False),
            "add_usage": not asked,
        }
        context = some_context(len(self.requests), **admitted | self.context)
        for option in answer.ok_response.headers:
            if option.header.key == headers.CONTEXT and not self.forge:
                option.header.value = sign(context, KEYS)
        return answer


@dataclass
class Metered:
    """The data plane with the real extproc in it."""

    client: httpx2.AsyncClient
    extauth: SigningExtauth
    engine: Engine
    spool: Path
    store: ToldStore
    telling: StoreLoop
    journal: Path = field(default_factory=Path)

    def asked(self, url: str = "/v1/chat/completions", simulate: str = "", **members: Any) -> dict[str, Any]:
        given = {"authorization": GOOD_KEY, "x-engine-simulate": simulate}
        return {"url": url, "json": {"model": MODEL, "messages": [], **members}, "headers": given}

    async def post(self, **members: Any) -> httpx2.Response:
        return await self.client.post(**self.asked(**members))

    async def event(self) -> RequestRecorded:
        """The one event of the one request."""
        await until(lambda: any(isinstance(record, Closed) for record in records(self.spool)))
        opened = [record for record in records(self.spool) if isinstance(record, Opened)]
        closed = [record for record in records(self.spool) if isinstance(record, Closed)]
        assert [record.event.event_id for record in closed] == [record.context.reservation_id for record in opened]
        return closed[0].event

    async def admit(self, held: int, **changes: Any) -> None:
        """The next requests are this one admitted request, whose hold is in the store's budget."""
        context = await self.store.admitted(held=held, **changes)
        self.extauth.context = {"reservation_id": context.reservation_id, "held_tokens": held, "prompt_tokens": context.prompt_tokens} | changes

    async def spent(self) -> tuple[int, int]:
        """What the store says was spent and is held, once extproc has told it all."""
        await self.telling.tell()
        return await self.store.budget()

    async def engine_entry(self) -> Entry:
        """What the simulated engine says about the one request, when it is over for the engine."""
        await until(lambda: read_journal(self.journal))
        [entry] = read_journal(self.journal)
        return entry


@asynccontextmanager
async def metered_dataplane(start_dataplane: Any, home: Path, *, simulated: bool = False, **params: Any) -> AsyncIterator[Metered]:
    """Start it; with `simulated` the model's engine is the simulator, else one that answers as told."""
    extauth, store = SigningExtauth(), ToldStore()
    spool = SpoolFiles(home / "spool", now_ms)
    heartbeats = Heartbeats(store, spool, lambda: float(store.now_ms))
    service = ProcessService(Rules(KEYS), spool, heartbeats, now_ms, patience_s=5)
    journal = home / "journal"
    async with AsyncExitStack() as stack:
        stack.callback(spool.release)
        dataplane = await stack.enter_async_context(start_dataplane(processor=service, extauth=extauth, **params))
        url = dataplane.engine.url
        if simulated:
            meters = stack.enter_context(contextlib.closing(Meters(journal)))
            server = await stack.enter_async_context(await serve_simulator(Simulator((), Behaviour(), meters).answer, "127.0.0.1:0"))
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await dataplane.gateway.apply(GatewayState((GatewayBackend("metered", url),), (GatewayRoute.to_one(MODEL, "metered"),)))
        telling = StoreLoop(heartbeats, Settlements(store, spool), spool)
        yield Metered(dataplane.client, extauth, dataplane.engine, home / "spool", store, telling, journal)
