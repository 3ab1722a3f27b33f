"""A traditional model on the whole service: registered, published, asked over both protocols, with and without a key, and recorded."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.world import World, until
from tests.support.simulator import Simulator, running_simulator

ROWS = {"instances": [{"feature1": 1.0, "feature2": 2.0}]}
TENSOR = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [3, 1, 1, 3]}]}


@pytest.fixture
def engine(world: World, tmp_path: Path) -> Iterator[Simulator]:
    with running_simulator(tmp_path, "--traditional", "--models", "iris") as running:
        backend = world.admin.call("POST", "/api/backend", json={"name": "e2e-sklearn", "baseUrl": running.url})
        assert (backend["kind"], backend["health"]) == ("traditional", "healthy")
        yield running
        world.tidy()
        world.admin.call("DELETE", "/api/backend/e2e-sklearn")


def test_a_model_without_tokens_from_registration_to_the_ledger(world: World, engine: Simulator) -> None:
    tenant, stranger = world.tenant(), world.tenant()
    config = {"tenantId": tenant.slug, "rateLimiting": {"requestsPerMinute": 60, "burstLimit": 4}}
    made = world.admin.call("POST", "/api/models/iris/publish", json={"config": config})
    world.on_tidy(lambda: world.admin.raw("DELETE", "/api/models/iris/publish"))
    assert (made["modelType"], made["externalPath"], made["status"]) == ("traditional", "/models/iris", "published")
    with httpx2.Client(base_url=world.gateway, headers={"x-api-key": made["apiKey"]}) as client:
        predicted = client.post("/models/iris/predict", json=ROWS)
        assert (predicted.status_code, predicted.json()) == (200, {"predictions": [1]})
        assert client.post("/v2/models/iris/infer", json=TENSOR).json()["outputs"][0]["data"] == [0, 1]
        refused = [client.post("/models/iris/predict", json=ROWS) for _ in range(4)][-1]
        assert (refused.status_code, list(refused.json())) == (429, ["error"])
        row = world.row(world.admin, predicted.headers["x-request-id"])
        assert (row["endpoint"], row["outcome"], row["inputTokens"], row["outputTokens"]) == ("kserve_v1_predict", "complete", 0, 0)
        assert engine.entries()[predicted.headers["x-request-id"]].path == "/v1/models/iris:predict"
    for headers, status in (({}, 401), ({"x-api-key": stranger.api_key}, 404)):
        answer = httpx2.post(f"{world.gateway}/models/iris/predict", json=ROWS, headers=headers)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_a_publication_opens_and_closes_to_requests_without_a_key(world: World, engine: Simulator) -> None:
    tenant = world.tenant()
    config = {"tenantId": tenant.slug, "authentication": {"requireApiKey": False}}
    world.admin.call("POST", "/api/models/iris/publish", json={"config": config})
    world.on_tidy(lambda: world.admin.raw("DELETE", "/api/models/iris/publish"))

    def asked(**headers: str) -> int:
        return httpx2.post(f"{world.gateway}/models/iris/predict", json=ROWS, headers=headers).status_code

    assert (asked(), asked(authorization="Bearer wrong")) == (200, 401)
    world.admin.call("PUT", "/api/models/iris/publish", json={"config": {"authentication": {"requireApiKey": True}}})
    until(lambda: asked() == 401, 2)
