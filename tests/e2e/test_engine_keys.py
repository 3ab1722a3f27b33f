"""An engine that demands a key, as vLLM with `--api-key`: `ias up` is told where the key is, and nobody else learns of it."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.e2e.conftest import TARGET
from tests.e2e.world import CHAT, World, until
from tests.support.simulator import running_simulator
from tests.support.stack import running_stack

OLD, NEW = "sk-engine-old", "sk-engine-new"


@pytest.mark.skipif(bool(TARGET), reason="it starts a service of its own")
def test_a_key_of_an_engine_serves_rotates_and_stays_secret(tmp_path: Path) -> None:
    key = tmp_path / "engine-key"
    key.write_text(OLD + "\n")
    with (
        running_simulator(tmp_path, "--models", "sim-chat", "--tokens", "2", "--api-key", OLD, "--api-key", NEW) as engine,
        running_stack(tmp_path, "--engine", f"vllm={engine.url}", "--engine-key", f"vllm={key}") as stack,
    ):
        assert httpx2.get(f"{engine.url}/v1/models").status_code == 401, "the engine demands its key"
        world = World(stack.ready, stack.ready["admin_password"])
        tenant = world.tenant()
        model = world.publish(tenant)
        backend = world.admin.call("GET", "/api/backend/vllm")
        assert (backend["health"], backend["credential"]) == ("healthy", "vllm")

        statuses, stop = Counter[int](), threading.Event()

        def ask() -> None:
            with httpx2.Client(base_url=world.gateway, headers={"authorization": f"Bearer {tenant.api_key}"}, timeout=30) as client:
                while not stop.is_set():
                    statuses[client.post("/v1/chat/completions", json={"model": model, "messages": CHAT}).status_code] += 1

        secret = stack.home / "gateway" / "secrets" / "credential-vllm.json"
        asking = threading.Thread(target=ask)
        asking.start()
        key.write_text(NEW)
        world.admin.call("POST", "/api/backend/vllm/check")
        until(lambda: NEW in secret.read_text())
        served = sum(statuses.values())
        until(lambda: sum(statuses.values()) > served + 10)
        stop.set()
        asking.join()
        assert set(statuses) == {200}

        refused = world.admin.raw("PUT", "/api/backend/vllm", json={"credential": "mistyped"})
        assert (refused.status_code, refused.json()["code"]) == (422, "credential_unusable")
        key.unlink()
        world.admin.call("POST", "/api/backend/vllm/check")
        until(lambda: _chat(world, tenant.api_key, model) == 503)
        shown = world.admin.call("GET", f"/api/models/{model}/publish")["backends"][0]
        assert (shown["health"], shown["healthReason"].partition(" from")[0]) == ("unhealthy", "the credential 'vllm' cannot be read")

        assert world.admin.call("PUT", "/api/backend/vllm", json={"credential": None})["credential"] is None
        until(lambda: not secret.exists())
        world.close()
        kept = asyncio.run(_kept(stack.ready["database_url"]))
        logs = "".join(path.read_text(errors="replace") for path in (stack.home / "logs").glob("*"))
        assert not [name for name in (OLD, NEW) if name in kept + logs + stack.log.read_text()]


def _chat(world: World, key: str, model: str) -> int:
    body = {"model": model, "messages": CHAT}
    return httpx2.post(f"{world.gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30).status_code


async def _kept(database_url: str) -> str:
    database = await asyncpg.connect(database_url)
    try:
        tables = ("audit_log", "backends", "change_log", "publications", "idempotency_keys")
        return str([await database.fetch(f"SELECT * FROM {table}") for table in tables])
    finally:
        await database.close()
