"""The real extauth and the real extproc around a real Envoy, with publications of the test's choice and an engine that answers as told."""

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget
from extauth.admission import Admissions
from extauth.decision import Policy
from extauth.grpc_service import CheckService
from extauth.learned import LearnedValues
from extauth.lookup import CredentialLookup
from extauth.ports import BudgetLedger, GatewayReader
from extauth.seeding import BudgetSeeder
from extauth.snapshot import Changed, Snapshot
from extproc.grpc_service import ProcessService
from extproc.heartbeats import Heartbeats
from extproc.machine import Rules
from extproc.spool_files import SpoolFiles
from ias.apikeys import ApiKey
from ias.gateway_views import Credential, Publication
from ias.spool_format import Closed
from ias.transport import UnaryMethod
from ias.usage_event import RequestRecorded
from protos import CHECK
from ratelimit.replicas import ReplicaRegister, Replicas
from ratelimit.store_memory import MemoryAdmissionStore
from tests.dataplane.conftest import Dataplane
from tests.support.ext_proc import KEYS
from tests.support.spools import records
from tests.support.waiting import until

PEPPER = b"p" * 32


class RealExtauth:
    """`CheckService` on a state in memory, which the test changes as the change log would."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(1_000, 1_000, 3_600)
        self.snapshot.confirm(time.monotonic())
        store = MemoryAdmissionStore(now_ms)
        seeder = BudgetSeeder(cast("BudgetLedger", None), store, 1)
        admissions = Admissions(store, seeder, Replicas(cast("ReplicaRegister", None), 1), 1_000)
        lookup = CredentialLookup(cast("GatewayReader", None), self.snapshot, 1)
        policy = Policy({1: PEPPER}, KEYS, 10 * 1024 * 1024, visitor_requests_per_minute=5)
        self.service = CheckService(self.snapshot, lookup, admissions, LearnedValues(10), policy)

    def method(self) -> UnaryMethod:
        return UnaryMethod(CHECK, self.service.handle)

    def know(self, key: ApiKey, org_id: str, **changes: Any) -> None:
        """Make a key of an org."""
        fields: dict[str, Any] = {
            "credential_id": key.credential_id,
            "digest": key.digest(PEPPER),
            "pepper_version": 1,
            "valid_until": None,
            "key_id": f"key-{org_id}",
            "key_active": True,
            "key_expires_at": None,
            "user_id": f"user-{org_id}",
            "user_active": True,
            "org_id": org_id,
            "org_active": True,
            "allowed_models": (),
        }
        self.snapshot.apply(Changed((key.credential_id,), (), ()), [Credential(**(fields | changes))], [])

    def publish(self, *publications: Publication) -> None:
        """Publish models, or change them."""
        self.snapshot.apply(Changed((), tuple(publication.publication_id for publication in publications), ()), [], publications)


@dataclass
class Authorized:
    """What a test needs of it."""

    dataplane: Dataplane
    extauth: RealExtauth
    spool: Path

    async def publish(self, *publications: Publication) -> None:
        """Publish at the gateway, then at extauth."""
        backend = GatewayBackend("engine", self.dataplane.engine.url)
        targets = (GatewayTarget("engine"),)
        routes = (GatewayRoute(p.model, targets, external_path=p.external_path or "", requires_key=p.require_api_key) for p in publications)
        await self.dataplane.gateway.apply(GatewayState((backend,), tuple(routes)))
        self.extauth.publish(*publications)

    async def events(self, count: int) -> list[RequestRecorded]:
        """All events, when there are so many."""
        await until(lambda: len(self._events()) >= count)
        return self._events()

    def _events(self) -> list[RequestRecorded]:
        return [record.event for record in records(self.spool) if isinstance(record, Closed)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


_turn = itertools.count()


@asynccontextmanager
async def authorized_dataplane(start_dataplane: Any, home: Path, **params: Any) -> AsyncIterator[Authorized]:
    """Start it; nothing is published yet."""
    extauth = RealExtauth()
    spool = home / f"spool-{next(_turn)}"
    async with AsyncExitStack() as stack:
        files = SpoolFiles(spool, now_ms)
        stack.callback(files.release)
        service = ProcessService(Rules(KEYS), files, Heartbeats(MemoryAdmissionStore(now_ms), files, lambda: float(now_ms())), now_ms)
        dataplane = await stack.enter_async_context(start_dataplane(processor=service, extauth=extauth, **params))
        yield Authorized(dataplane, extauth, spool)
        await extauth.service.finish()
