"""How fast a change of what is published is there, and whether anybody notices.

Publish until the first answer, an endless stream of changes under 200 requests per second, unpublish until the first 404: on
the whole service, through the real gateway, with the canary flying.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from typing import Any

import httpx2

from tests.chaos import ground

CHANGES: list[dict[str, Any]] = [
    {"rateLimiting": {"requestsPerMinute": 1_000_000}},
    {"backends": [{"name": "sim", "weight": 70}, {"name": "twin", "weight": 30}]},
    {"externalPath": "/bench/one"},
    {"backends": [{"name": "twin"}, {"name": "sim", "priority": 1}]},
    {"traffic": {"maxRequests": 5_000}},
    {"backend": "sim", "externalPath": None},
    {"traffic": {"maxRequests": None}, "rateLimiting": {"requestsPerMinute": None}},
]


async def ask(client: httpx2.AsyncClient, model: str, key: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    try:
        return (await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})).status_code
    except httpx2.HTTPError:
        return 0


async def until(client: httpx2.AsyncClient, model: str, key: str, status: int, since: float) -> float:
    """Seconds from `since` until a request, sent again and again, gets the status."""
    while await ask(client, model, key) != status:  # noqa: ASYNC110 -- what is waited for happens in other processes
        await asyncio.sleep(0.01)
    return time.perf_counter() - since


async def measure(gateway: str, api: str, token: str, tenant: str, tenant_key: str, rounds: int, rate: int, seconds: float) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=api, timeout=30, headers={"authorization": f"Bearer {token}"}) as admin, gateway_client(gateway) as client:
        (engine,) = [one for one in (await admin.get("/api/backend")).json()["items"] if "sim-chat" in one["models"]]
        await admin.post("/api/backend", json={"name": "sim", "baseUrl": engine["baseUrl"]})
        await admin.post("/api/backend", json={"name": "twin", "baseUrl": engine["baseUrl"]})
        publish = {"config": {"tenantId": tenant, "upstreamModel": "sim-chat", "backend": "sim"}}
        usable, gone = [], []
        for number in range(rounds):
            path = f"/api/models/bench-{number}/publish"
            began = time.perf_counter()
            made = await admin.post(path, json=publish)
            assert made.status_code == 201, made.text
            key = made.json()["apiKey"]
            usable.append(await until(client, f"bench-{number}", key, 200, began))
            await until(client, f"bench-{number}", tenant_key, 200, began)
            began = time.perf_counter()
            assert (await admin.delete(path)).status_code == 204
            gone.append(await until(client, f"bench-{number}", tenant_key, 404, began))
        made = await admin.post("/api/models/bench/publish", json=publish)
        statuses, changes = await _under_load(admin, client, made.json()["apiKey"], rate, seconds)
        await admin.delete("/api/models/bench/publish")
    return {
        "publish_to_usable_max_s": round(max(usable), 3),
        "publish_to_usable_median_s": round(statistics.median(usable), 3),
        "unpublish_to_404_max_s": round(max(gone), 3),
        "requests": sum(statuses.values()),
        "failed": sum(count for status, count in statuses.items() if status != 200),
        "requests_per_s": round(sum(statuses.values()) / seconds),
        "changes": changes,
    }


async def _under_load(admin: httpx2.AsyncClient, client: httpx2.AsyncClient, key: str, rate: int, seconds: float) -> tuple[Counter[int], int]:
    statuses: Counter[int] = Counter()
    running: set[asyncio.Task[None]] = set()
    stop, changes = False, 0

    async def one() -> None:
        statuses[await ask(client, "bench", key)] += 1

    async def change() -> None:
        nonlocal changes
        while not stop:
            answer = await admin.put("/api/models/bench/publish", json={"config": CHANGES[changes % len(CHANGES)]})
            assert answer.status_code == 200, answer.text
            changes += 1

    changing = asyncio.create_task(change())
    began = time.perf_counter()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
    stop = True
    await asyncio.gather(changing, *running)
    return statuses, changes


def gateway_client(gateway: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200)
    return httpx2.AsyncClient(base_url=gateway, timeout=30, trust_env=False, limits=limits)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publishing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    with ground.running() as service:
        world, tenant = service.world, service.world.tenant()
        result = asyncio.run(
            measure(world.gateway, world.api, world.admin.token, tenant.slug, tenant.api_key, arguments.rounds, arguments.rate, arguments.seconds)
        )
    for name, value in result.items():
        print(f"{name:28} {value}")
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
