"""How fast a change of what is published is there on Kubernetes, and whether anybody notices: a real API server, Envoy Gateway and Envoy.

Publish until the first answer, changes under load, unpublish until 404, as `benchmarks/publishing.py` does on one machine; then the time of a
request and of one more publication beside 10, 100 and 1,000 models. Run by `make bench-kubernetes`, in namespaces of its own.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from benchmarks import publishing
from tests.kubernetes.control_plane import control_plane
from tests.kubernetes.served import Served, served
from tests.support.envoy_gateway import running_envoy_gateway
from tests.support.kubernetes import running_kubernetes

MODELS = (10, 100, 1_000)
_REQUESTS = 200
_PATIENCE_S = 320
_FILL = """
INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status, external_path)
SELECT gen_random_uuid(), 'bulk-' || n, (SELECT id FROM orgs WHERE slug = $1), 'openai', 'sim-chat', (SELECT id FROM backends WHERE name = 'twin'),
       'published', '/v1/models/bulk-' || n
FROM generate_series((SELECT count(*) FROM publications WHERE model LIKE 'bulk-%') + 1, $2::int) AS n
"""


@contextmanager
def running() -> Iterator[tuple[Served, str]]:
    """Everything, and the address of a control plane whose gateway is the cluster; it may wait for a thousand models to be judged."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ias-bench-", ignore_cleanup_errors=True)))
        server = stack.enter_context(running_kubernetes())
        controller = stack.enter_context(running_envoy_gateway(server))
        service = stack.enter_context(served(home, server, controller))
        yield service, stack.enter_context(control_plane(service, IAS_PUBLICATIONS_PER_ORG="10000", IAS_KUBERNETES_CONFIRM_SECONDS="300")).url


async def bring_up(service: Served, api: str, tenant: str) -> float:
    """Publish the first model: the gateway itself is made with it, and an Envoy started. Seconds until it answers."""
    headers = {"authorization": f"Bearer {service.world.admin.token}"}
    async with (
        httpx2.AsyncClient(base_url=api, timeout=_PATIENCE_S, headers=headers) as admin,
        publishing.gateway_client(service.world.gateway) as client,
    ):
        began = time.perf_counter()
        made = await admin.post("/api/models/first/publish", json={"config": {"tenantId": tenant, "upstreamModel": "sim-chat"}})
        assert made.status_code == 201, made.text
        return await publishing.until(client, "first", made.json()["apiKey"], 200, began)


async def beside(service: Served, api: str, tenant: str, models: int) -> dict[str, float]:
    """Fill up to so many models; then one more publication and requests to it."""
    database = await asyncpg.connect((service.stack.home / "secrets/database_url").read_text().strip())
    try:
        await database.execute(_FILL, tenant, models)
    finally:
        await database.close()
    headers = {"authorization": f"Bearer {service.world.admin.token}"}
    async with (
        httpx2.AsyncClient(base_url=api, timeout=_PATIENCE_S, headers=headers) as admin,
        publishing.gateway_client(service.world.gateway) as client,
    ):
        config = {"tenantId": tenant, "upstreamModel": "sim-chat", "backend": "sim"}
        times = []
        # The first writes all that were filled in; the second one model.
        for number in range(2):
            began = time.perf_counter()
            made = await admin.post(f"/api/models/beside-{models}-{number}/publish", json={"config": config})
            assert made.status_code == 201, made.text
            name, key = f"beside-{models}-{number}", made.json()["apiKey"]
            times.append(await publishing.until(client, name, key, 200, began))
        took = []
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            assert await publishing.ask(client, name, key) == 200
            took.append(time.perf_counter() - began)
    return {
        "all_written_s": round(times[0], 2),
        "publish_to_usable_s": round(times[1], 2),
        "request_median_ms": round(statistics.median(took) * 1000, 2),
        "request_p99_ms": round(sorted(took)[int(_REQUESTS * 0.99)] * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-kubernetes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--models", type=int, nargs="*", default=MODELS)
    arguments = parser.parse_args()
    with running() as (service, api):
        world, tenant = service.world, service.world.tenant()
        print(f"gateway_up_s                 {asyncio.run(bring_up(service, api, tenant.slug)):.1f}", flush=True)
        load = (arguments.rounds, arguments.rate, arguments.seconds)
        result: dict[str, Any] = asyncio.run(publishing.measure(world.gateway, api, world.admin.token, tenant.slug, tenant.api_key, *load))
        for name, value in result.items():
            print(f"{name:28} {value}", flush=True)
        result["beside"] = {}
        for models in arguments.models:
            result["beside"][models] = asyncio.run(beside(service, api, tenant.slug, models))
            print(f"beside {models:5} models: {result['beside'][models]}", flush=True)
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
