"""Does the time of a request depend on the number of published models?

Two services side by side, one with 5 models and one with 5,000; requests alternate between them in blocks (A B A B).
Then one more model is published on the large one: how long until it answers.
"""

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx2

from tests.e2e.world import CHAT, Tenant, World, simulate, until
from tests.support.stack import Stack, start_stack

FEW, MANY = 5, 5_000
BLOCKS, PER_BLOCK = 10, 100

SEED = """
WITH made AS (
  INSERT INTO publications (id, model, org_id, model_type, external_path, upstream_model, backend_id, require_api_key, status, version)
  SELECT gen_random_uuid(), 'bulk-' || n, p.org_id, p.model_type, p.external_path || '-' || n, p.upstream_model, p.backend_id, true, 'published', 1
  FROM generate_series(1, $2::int) AS n, publications AS p
  WHERE p.model = $1 AND p.status = 'published'
  RETURNING id, org_id)
INSERT INTO publication_tenants (publication_id, org_id) SELECT id, org_id FROM made
"""


async def seed(database_url: str, like: str, count: int) -> None:
    """Copy a publication `count` times, and make readers load all anew, as after a restore."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(SEED, like, count)
        await connection.execute("UPDATE change_epoch SET epoch = gen_random_uuid()")
    finally:
        await connection.close()


def ask(client: httpx2.Client, model: str) -> httpx2.Response:
    """Ask for one token, which the engine gives at once: what is measured is the way there."""
    return client.post("/v1/chat/completions", json={"model": model, "messages": CHAT}, headers=simulate(tokens=1, pace_ms=0))


def block(client: httpx2.Client, model: str) -> list[float]:
    """Times of requests made one after the other, in milliseconds."""
    times = []
    for _ in range(PER_BLOCK):
        started = time.perf_counter()
        answer = ask(client, model)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.text
    return times


@dataclass
class Side:
    """One of the two services; `model` is the last one published on it."""

    stack: Stack
    world: World
    tenant: Tenant
    client: httpx2.Client
    model: str = ""

    def publish(self, name: str) -> None:
        """Publish one more model; returns when the API has answered."""
        self.world.admin.call("POST", f"/api/models/{name}/publish", json={"config": {"tenantId": self.tenant.slug, "upstreamModel": "sim-chat"}})


def prepare(home: Path, count: int) -> Side:
    """Start a service with `count` published models."""
    stack = start_stack(home)
    world = World(stack.ready, stack.ready["admin_password"])
    tenant = world.tenant()
    client = httpx2.Client(base_url=world.gateway, headers={"authorization": f"Bearer {tenant.api_key}"}, timeout=10)
    side = Side(stack, world, tenant, client)
    first = world.publish(tenant)
    asyncio.run(seed(stack.ready["database_url"], first, count - 2))
    side.model = world.publish(tenant)
    until(lambda: ask(client, side.model).status_code == 200)
    return side


def time_to_live_ms(side: Side) -> float:
    """Publish one more model and ask for it until it answers."""
    name = f"new-{time.monotonic_ns()}"
    started = time.perf_counter()
    side.publish(name)
    while ask(side.client, name).status_code != 200:
        time.sleep(0.01)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stop:
        print(f"starting two services, with {FEW} and {MANY} models", flush=True)
        sides = {}
        for count in (FEW, MANY):
            sides[count] = prepare(Path(folder, str(count)), count)
            stop.callback(sides[count].stack.stop)
        times: dict[int, list[float]] = {FEW: [], MANY: []}
        for number in range(BLOCKS):
            for count, side in sides.items():
                times[count] += block(side.client, side.model)
            print(f"block {number + 1} of {BLOCKS}", flush=True)
        live_ms = [time_to_live_ms(sides[MANY]) for _ in range(10)]

    p50 = {count: statistics.median(values) for count, values in times.items()}
    print(f"\n{'models':>8} {'p50 ms':>8} {'p95 ms':>8}")
    for count, values in times.items():
        print(f"{count:>8} {p50[count]:>8.2f} {statistics.quantiles(values, n=20)[18]:>8.2f}")
    print(f"one more model on {MANY} is live after {max(live_ms):.0f} ms at most (median {statistics.median(live_ms):.0f} ms)")
    print("RESULT " + json.dumps({"p50_ratio": round(p50[MANY] / p50[FEW], 3), "publish_live_ms_max": round(max(live_ms)), "models": MANY}))


if __name__ == "__main__":
    main()
