"""How long does the registry take over gRPC with 10,000 models, 1,000 orgs and 2,000 requests in each second, four of five `get_tenant_model`?

A durable PostgreSQL, `python -m controlplane registry` as it runs, and a client of its own process that asks in an open loop: times count from when
a request was due. Half of the orgs approve all, the others by three rules of their own; each has decided of a hundred models.
While the second half of the time runs, an org revokes and reinstates ten times in each second, and one backend's models change once.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.ledger import postgres
from benchmarks.measuring import result, rss_kib, worker
from ias.gateway_views import CHANGE_LOCK
from tests.support.postgres import migrate, run_apart

MODELS, BACKENDS, ORGS, RATE = 10_000, 20, 1_000, 2_000
SECONDS = 15
_START_S = 60
_ID = "md5('{}' || {})::uuid"
ORG, MODEL, BACKEND = (_ID.format(kind, "{}") for kind in ("org", "model", "backend"))
FILL = (
    (
        "INSERT INTO backends (id, name, base_url, kind, health) "
        f"SELECT {BACKEND.format('i')}, 'backend-' || lpad(i::text, 2, '0'), 'http://10.0.0.1:80', 'openai', 'healthy' "
        f"FROM generate_series(0, {BACKENDS - 1}) i"
    ),
    (
        "INSERT INTO catalog_models (id, backend_id, upstream_model, told_context_tokens, told_capabilities, told_modalities, first_seen_at, "
        f"last_seen_at) SELECT {MODEL.format('i')}, {BACKEND.format(f'(i % {BACKENDS})')}, 'vendor-' || (i % 7) || '/model-' || i, 8192, "
        "CASE i % 3 WHEN 0 THEN '{chat,tools}'::text[] WHEN 1 THEN '{chat}' ELSE '{embeddings}' END, '{text}', now(), now() "
        f"FROM generate_series(0, {MODELS - 1}) i"
    ),
    "INSERT INTO catalog_prices (catalog_model_id, valid_from, currency, input, output) SELECT id, now(), 'EUR', 0.5, 1.5 FROM catalog_models",
    f"INSERT INTO orgs (id, slug, name) SELECT {ORG.format('i')}, 'org-' || i, 'Org ' || i FROM generate_series(0, {ORGS - 1}) i",
    (
        f"INSERT INTO users (id, org_id, username, role) SELECT {_ID.format('user', 'i')}, {ORG.format('i')}, 'user-' || i, 'org_admin' "
        f"FROM generate_series(0, {ORGS - 1}) i"
    ),
    f"UPDATE approval_rules SET ended_at = '2000-01-01Z' WHERE org_id IN (SELECT {ORG.format('i')} FROM generate_series(0, {ORGS - 1}, 2) i)",
    (
        f"INSERT INTO approval_rules (id, org_id, backend_id, pattern) SELECT gen_random_uuid(), {ORG.format('i')}, "
        f"CASE r WHEN 0 THEN {BACKEND.format(f'(i % {BACKENDS})')} END, CASE r WHEN 0 THEN '*' WHEN 1 THEN 'vendor-' || (i % 7) || '/*' "
        f"ELSE '*model-' || (i % 100) || '*' END FROM generate_series(0, {ORGS - 1}, 2) i, generate_series(0, 2) r"
    ),
    (
        "INSERT INTO model_approvals (org_id, catalog_model_id, state, decided_by, decided_at) "
        f"SELECT {ORG.format('i')}, {MODEL.format(f'((i * 37 + k * 101) % {MODELS})')}, CASE k % 2 WHEN 0 THEN 'revoked' ELSE 'approved' END, "
        f"{_ID.format('user', 'i')}, now() FROM generate_series(0, {ORGS - 1}) i, generate_series(0, 99) k ON CONFLICT DO NOTHING"
    ),
    "ANALYZE",
)
_TOGGLE = "UPDATE model_approvals SET state = CASE state WHEN 'revoked' THEN 'approved' ELSE 'revoked' END WHERE org_id = $1"


async def prepare(url: str) -> tuple[list[str], list[str]]:
    """Fill the database; return the ids of orgs and the names of models."""
    connection = await asyncpg.connect(url)
    try:
        for statement in FILL:
            await connection.execute(statement)
        orgs = [str(row[0]) for row in await connection.fetch("SELECT id FROM orgs")]
        names = "SELECT b.name || '::' || m.upstream_model FROM catalog_models m JOIN backends b ON b.id = m.backend_id"
        return orgs, [row[0] for row in await connection.fetch(names)]
    finally:
        await connection.close()


async def disturb(url: str, org_id: str, seconds: float) -> None:
    """Change approvals of an org ten times in each second, and the models of a backend once."""
    connection = await asyncpg.connect(url)
    try:
        for number in range(int(seconds * 10)):
            async with connection.transaction():
                await connection.execute(_TOGGLE, UUID(org_id))
                await connection.execute("SELECT pg_advisory_xact_lock($1)", CHANGE_LOCK)
                await connection.execute("INSERT INTO change_log (kind, id) VALUES ('approvals', $1)", org_id)
                if number == int(seconds * 5):
                    backend = f"UPDATE catalog_models SET told_context_tokens = 4096 WHERE backend_id = {BACKEND.format('0')} RETURNING backend_id"
                    changed = await connection.fetchval(backend)
                    await connection.execute("INSERT INTO change_log (kind, id) VALUES ('catalog', $1)", str(changed))
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


def wait_for(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until the registry has read everything and serves."""
    end = time.monotonic() + _START_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the registry did not start")
        time.sleep(0.05)


def table(name: str, times: list[float]) -> dict[str, float]:
    """Print the distribution; return it in milliseconds."""
    points = statistics.quantiles(times, n=1000)
    found = {f"p{percent:g}": points[int(percent * 10) - 1] * 1000 for percent in (50, 90, 99, 99.9)} | {"max": max(times) * 1000}
    print(f"  {name:<24}{len(times):>8}" + "".join(f"{value:>9.2f}" for value in found.values()))
    return found


def main() -> None:
    with postgres() as server, tempfile.TemporaryDirectory() as folder:
        run_apart(migrate(server.url("postgres")))
        url, socket = server.url("postgres"), Path(folder) / "registry.sock"
        orgs, models = run_apart(prepare(url))
        environment = {"IAS_DATABASE_URL": url, "IAS_LISTEN": f"unix:{socket}", "PATH": ""}
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "controlplane", "registry"], env=environment, stderr=log, stdout=log)
        try:
            started = time.monotonic()
            wait_for(socket, process)
            print(
                f"{MODELS} models, {ORGS} orgs, {ORGS * 100} decisions; read in {time.monotonic() - started:.1f} s, {rss_kib(process.pid) >> 10} MiB"
            )
            quiet, disturbed = measure(url, f"unix:{socket}", orgs, models)
        finally:
            process.terminate()
            process.wait(20)
        if quiet["errors"] or disturbed["errors"]:
            raise SystemExit(f"errors: {(quiet['errors'] + disturbed['errors'])[:3]}")
        print(f"  {'milliseconds':<24}{'calls':>8}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'max':>9}")
        table("resolve", quiet["resolve"])
        table("list, pages of 50", quiet["list"])
        resolved, listed = table("resolve while changing", disturbed["resolve"]), table("list while changing", disturbed["list"])
        print(
            f"  refused: {disturbed['refused'] / (len(disturbed['resolve']) + len(disturbed['list'])):.0%}, {disturbed['bytes'] >> 20} MiB of answers"
        )
        result(models=MODELS, tenants=ORGS, rate=RATE, resolve_p99_ms=round(resolved["p99"], 3), list_p99_ms=round(listed["p99"], 3))


def measure(url: str, address: str, orgs: list[str], models: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the times with nothing else going on, and with changes."""
    with worker("benchmarks.registry_load", address) as client:
        order = {"orgs": orgs, "models": models, "rate": RATE}
        client.ask(**order, seconds=2, seed=0)
        quiet = client.ask(**order, seconds=SECONDS, seed=1)

        async def both() -> dict[str, Any]:
            asking = asyncio.create_task(asyncio.to_thread(client.ask, **order, seconds=SECONDS, seed=2))
            await disturb(url, orgs[0], SECONDS - 1)
            return await asking

        return quiet, asyncio.run(both())


if __name__ == "__main__":
    main()
