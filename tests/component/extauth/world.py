"""The truth in a real PostgreSQL, written as the control plane writes it, and extauth's parts reading it."""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from extauth.admission import Admissions
from extauth.decision import Policy
from extauth.grpc_service import CheckService
from extauth.learned import LearnedValues
from extauth.ledger_postgres import PostgresBudgetLedger
from extauth.lookup import CredentialLookup
from extauth.seeding import BudgetSeeder
from extauth.snapshot import Snapshot
from extauth.store_postgres import PostgresGatewayReader
from extauth.watcher import ChangeWatcher
from ias.apikeys import ApiKey, new_key
from ias.context import RequestContext, SigningKeys, verify
from ias.gateway_views import CHANGE_LOCK
from ias.headers import CONTEXT
from ratelimit import store_valkey
from ratelimit.replicas import Replicas
from ratelimit.replicas_valkey import ValkeyReplicaRegister
from ratelimit.store_valkey import ValkeyAdmissionStore
from tests.support.checks import Verdict

PEPPER = b"p" * 32
SIGNING = SigningKeys("k1", {"k1": b"s" * 32})


def admitted(verdict: Verdict) -> RequestContext:
    """The context of a request that passed, as extproc would read it."""
    assert verdict.allowed, verdict.body
    return verify(verdict.headers[CONTEXT], SIGNING, "req-1", "/v1/chat/completions", time.time_ns() // 1_000_000)


@contextlib.contextmanager
def postgres_hangs(data: Path) -> Iterator[None]:
    """Stop every process of the server, as a hung machine would."""
    main = int((data / "postmaster.pid").read_text().split()[0])
    children = subprocess.run(["pgrep", "-P", str(main)], capture_output=True, text=True, check=False).stdout.split()
    pids = [main, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Truth:
    """Writes rows and the change log in one transaction each."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._db = connection

    async def change(self, statement: str, *arguments: object, kind: str, of: object) -> None:
        async with self._db.transaction():
            await self._db.execute("SELECT pg_advisory_xact_lock($1)", CHANGE_LOCK)
            await self._db.execute(statement, *arguments)
            await self._db.execute("INSERT INTO change_log (kind, id) VALUES ($1, $2)", kind, str(of))

    async def execute(self, statement: str, *arguments: object) -> None:
        await self._db.execute(statement, *arguments)

    async def limit(self, table: str, subject_id: uuid.UUID, **columns: object) -> None:
        """Set columns of an org, user, key or publication, before extauth loads them."""
        sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, start=2))
        await self.execute(f"UPDATE {table} SET {sets} WHERE id = $1", subject_id, *columns.values())

    async def budget(self, org: "Org", tokens: int, period: str = "month", **columns: object) -> None:
        fields = {"scope": "org", "subject_id": org.id, "org_id": org.id, "period": period, "tokens": tokens, **columns}
        places = ", ".join(f"${number}" for number, _ in enumerate(fields, start=1))
        await self.execute(f"INSERT INTO budgets ({', '.join(fields)}) VALUES ({places})", *fields.values())

    async def data_directory(self) -> Path:
        return Path(await self._db.fetchval("SHOW data_directory"))

    async def org(self) -> "Org":
        org = Org(uuid.uuid4(), uuid.uuid4(), self)
        await self.change("INSERT INTO orgs (id, slug, name) VALUES ($1, $2, 'Org')", org.id, f"o-{org.id}", kind="org", of=org.id)
        await self.change(
            "INSERT INTO users (id, org_id, username, role) VALUES ($1, $2, $3, 'org_user')",
            org.user_id,
            org.id,
            str(org.user_id),
            kind="user",
            of=org.user_id,
        )
        return org

    async def publish(self, model: str, *orgs: "Org", rpm: int | None = None, burst: int | None = None, upstream: str = "up") -> uuid.UUID:
        publication_id, backend_id = uuid.uuid4(), uuid.uuid4()
        await self.execute("INSERT INTO backends (id, name, base_url, kind) VALUES ($1, $2, 'http://x', 'openai')", backend_id, str(backend_id))
        async with self._db.transaction():
            await self._db.execute(
                "INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, requests_per_minute, burst_limit, status)"
                " VALUES ($1, $2, $3, 'openai', $4, $5, $6, $7, 'published')",
                *(publication_id, model, orgs[0].id, upstream, backend_id, rpm, burst),
            )
            for org in orgs:
                await self._db.execute("INSERT INTO publication_tenants VALUES ($1, $2)", publication_id, org.id)
            await self._db.execute("SELECT pg_advisory_xact_lock($1)", CHANGE_LOCK)
            await self._db.execute("INSERT INTO change_log (kind, id) VALUES ('publication', $1)", str(publication_id))
        return publication_id


@dataclass(frozen=True)
class Org:
    id: uuid.UUID
    user_id: uuid.UUID
    truth: Truth = field(repr=False)

    async def key(self, rpm: int | None = None, burst: int | None = None, models: tuple[str, ...] = ()) -> tuple[uuid.UUID, ApiKey]:
        key_id, key = uuid.uuid4(), new_key()
        await self.truth.execute(
            "INSERT INTO keys (id, org_id, user_id, name, allowed_models, requests_per_minute, burst_limit) VALUES ($1, $2, $3, 'k', $4, $5, $6)",
            *(key_id, self.id, self.user_id, list(models), rpm, burst),
        )
        await self.truth.change(
            "INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint) VALUES ($1, $2, $3, 1, 'h')",
            *(key.credential_id, key_id, key.digest(PEPPER)),
            kind="credential",
            of=key.credential_id,
        )
        return key_id, key


class CountingReader(PostgresGatewayReader):
    """Counts how often single credentials are read: what no unknown key may cause."""

    reads = 0

    async def credentials(self, credential_ids: Any) -> Any:
        self.reads += 1
        return await super().credentials(credential_ids)


@dataclass
class Extauth:
    reader: CountingReader
    snapshot: Snapshot
    watcher: ChangeWatcher
    service: CheckService
    store: ValkeyAdmissionStore
    replicas: Replicas
    ledger: PostgresBudgetLedger
    seeder: BudgetSeeder


@asynccontextmanager
async def extauth(
    database_url: str, valkey_url: str, max_age_s: float = 900, store_timeout_ms: int = 2_000, claim_ttl_ms: int = 10_000
) -> AsyncIterator[Extauth]:
    """The parts of `app.run`, without a transport and with polls and beats in the test's hands."""
    async with AsyncExitStack() as closing:
        opened = await CountingReader.open(database_url, timeout_s=0.5)
        assert isinstance(opened, CountingReader)
        closing.push_async_callback(opened.aclose)
        ledger = await PostgresBudgetLedger.open(database_url, timeout_s=0.5)
        closing.push_async_callback(ledger.aclose)
        store = store_valkey.connect(valkey_url, store_timeout_ms, claim_ttl_ms)
        closing.push_async_callback(store.aclose)
        register = ValkeyReplicaRegister(valkey_url, "extauth", str(uuid.uuid4()))
        closing.push_async_callback(register.aclose)
        replicas = Replicas(register, interval_s=60)
        seeder = BudgetSeeder(ledger, store, timeout_s=0.5)
        closing.push_async_callback(seeder.finish)
        snapshot = Snapshot(1_000, 1_000, max_age_s)
        admissions = Admissions(store, seeder, replicas, store_timeout_ms)
        policy = Policy({1: PEPPER}, SIGNING, 1_000_000)
        service = CheckService(snapshot, CredentialLookup(opened, snapshot, 0.5), admissions, LearnedValues(100), policy)
        closing.push_async_callback(service.finish)
        watcher = ChangeWatcher(opened, snapshot, 1_000, 0.05)
        await watcher.load()
        yield Extauth(opened, snapshot, watcher, service, store, replicas, ledger, seeder)
