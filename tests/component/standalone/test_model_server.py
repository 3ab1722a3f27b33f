"""The simulated model server over HTTP, and what a probe makes of it."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controlplane.backends.credentials import CredentialFolder
from controlplane.backends.ports import Probe
from controlplane.backends.prober_http import HttpProber
from controlplane.backends.rules import Health
from controlplane.egress.egress_http import open_egress
from ias.gateway_views import ModelType
from tests.support.simulator import Simulator, running_simulator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder: Path = tmp_path_factory.mktemp("model-server")
    with running_simulator(folder, "--traditional", "--models", "iris,fraud") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/models", {"models": ["iris", "fraud"]}),
        ("/v1/models/iris", {"name": "iris", "ready": True}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/iris/ready", {"name": "iris", "ready": True}),
    ],
)
def test_what_it_says_of_itself(server: Simulator, path: str, said: Any) -> None:
    assert httpx2.get(server.url + path).json() == said


def test_both_protocols_predict(server: Simulator) -> None:
    rows = {"instances": [[1, 2], {"a": 2, "b": 1}]}
    assert httpx2.post(f"{server.url}/v1/models/iris:predict", json=rows).json() == {"predictions": [1, 0]}
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [3, 1]}
    answer = httpx2.post(f"{server.url}/v2/models/iris/versions/2/infer", json={"inputs": [tensor]}).json()
    assert (answer["model_name"], answer["model_version"], answer["outputs"][0]["data"]) == ("iris", "2", [0])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/models/none:predict", b"{}", 404),
        ("POST", "/v1/models/iris:predict", b"{}", 400),
        ("POST", "/v1/models/iris:predict", b"not JSON", 400),
        ("POST", "/v1/models/iris", b"", 405),
        ("GET", "/v2/models/iris/infer", b"", 405),
        ("POST", "/v1/chat/completions", b"{}", 404),
        ("GET", "/health", b"", 404),
    ],
)
def test_what_it_does_not_do(server: Simulator, method: str, path: str, body: bytes, status: int) -> None:
    assert httpx2.request(method, server.url + path, content=body).status_code == status


async def test_a_probe_finds_a_healthy_traditional_engine(server: Simulator) -> None:
    with open_egress((ip_network("127.0.0.0/8"),)) as egress:
        verdict = await HttpProber(egress, CredentialFolder(None)).probe(Probe(server.url))
    assert (verdict.health, verdict.models, verdict.model_type) == (Health.HEALTHY, ("fraud", "iris"), ModelType.TRADITIONAL)
