"""Backends: real probes of a real HTTP server."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from controlplane.backends.credentials import CredentialFolder
from controlplane.backends.ports import Probe
from controlplane.backends.prober_http import MAX_BYTES, HttpProber
from controlplane.backends.probing import BackendProber
from controlplane.backends.rules import Health
from controlplane.egress.egress_http import open_egress
from ias.gateway_views import ModelType
from tests.component.controlplane.world import World
from tests.support.engine import Engine, engine_running


@pytest.fixture
async def sim() -> AsyncIterator[Engine]:
    async with engine_running("chat", "embed") as engine:
        yield engine


@pytest.fixture
def prober() -> Iterator[HttpProber]:
    with open_egress((ip_network("127.0.0.0/8"),)) as egress:
        yield HttpProber(egress, CredentialFolder(None))


async def test_an_engine_is_probed_when_it_is_registered(world: World, sim: Engine) -> None:
    made = await world["root"].ok("POST", "/backend", {"name": "vllm", "baseUrl": f"{sim.url}/"})
    assert (made["baseUrl"], made["health"], made["models"]) == (sim.url, "healthy", ["chat", "embed"])
    assert (await world["root"].ok("GET", "/backend/vllm"))["id"] == made["id"]
    assert [one["name"] for one in (await world["root"].ok("GET", "/backend"))["items"]] == ["vllm"]


async def test_an_engine_that_does_not_answer_is_registered_with_the_reason(world: World) -> None:
    made = await world["root"].ok("POST", "/backend", {"name": "dead", "baseUrl": "http://127.0.0.1:1"})
    assert made["health"] == "unhealthy"
    assert "GET /health" in made["healthReason"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "baseUrl": "http://a/v1"}, "invalid_request"),
        ({"name": "x", "baseUrl": "file:///etc/passwd"}, "invalid_request"),
        ({"name": "", "baseUrl": "http://a"}, "invalid_request"),
        ({"baseUrl": "http://a"}, "invalid_request"),
    ],
)
async def test_what_is_no_backend_is_refused(world: World, body: dict[str, str], code: str) -> None:
    response = await world["root"].call("POST", "/backend", body)
    assert (response.status_code, response.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://10.0.0.5:8000", "a private network"),
        ("http://169.254.169.254", "a link-local network"),
        ("http://[::1]:8000", "a loopback network"),
        ("http://[::ffff:169.254.169.254]", "a link-local network"),
    ],
)
async def test_an_address_that_is_not_public_is_refused_with_what_to_do(world: World, url: str, network: str) -> None:
    response = await world["root"].call("POST", "/backend", {"name": "inside", "baseUrl": url})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "egress_denied")
    assert network in problem["detail"]
    assert problem["detail"].endswith("add it to IAS_EGRESS_ALLOWED_NETWORKS")
    assert (await world["root"].ok("GET", "/backend"))["items"] == []


async def test_an_engine_whose_name_moves_to_a_denied_address_is_unhealthy(world: World) -> None:
    with open_egress(()) as egress:
        verdict = await HttpProber(egress, CredentialFolder(None)).probe(Probe("http://localhost:8000"))
    assert (verdict.health, verdict.is_denied) == (Health.UNHEALTHY, True)
    assert verdict.reason.startswith("egress_denied: 'localhost' resolves to ")


async def test_a_name_is_taken_once(world: World, sim: Engine) -> None:
    await world["root"].ok("POST", "/backend", {"name": "vllm", "baseUrl": sim.url})
    again = await world["root"].call("POST", "/backend", {"name": "vllm", "baseUrl": sim.url})
    assert again.status_code == 409


async def test_a_check_and_the_background_probe_see_changes(world: World, sim: Engine) -> None:
    root = world["root"]
    await root.ok("POST", "/backend", {"name": "vllm", "baseUrl": sim.url})
    sim.answers["/health"] = (503, b"")
    ill = await root.ok("POST", "/backend/vllm/check")
    assert (ill["health"], ill["healthReason"]) == ("unhealthy", "GET /health: status 503")
    sim.serves("chat", "new")
    background = BackendProber(world.engine, world.runtime.probing, lambda: None)
    await background.probe_all()
    rumour = await root.ok("GET", "/backend/vllm")
    assert (rumour["health"], rumour["healthReason"], rumour["models"]) == ("unhealthy", None, ["chat", "new"])
    await background.probe_all()
    well = await root.ok("GET", "/backend/vllm")
    assert (well["health"], well["availability"]) == ("healthy", 0.75)
    assert well["healthChangedAt"] > ill["healthChangedAt"]
    assert 0 < well["latencyMs"] < 1000


async def test_a_backend_in_use_stays(world: World, sim: Engine) -> None:
    root = world["root"]
    made = await root.ok("POST", "/backend", {"name": "vllm", "baseUrl": sim.url})
    publication = """INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status)
      SELECT gen_random_uuid(), 'm', id, 'openai', 'm', CAST(:backend AS uuid), 'published' FROM orgs WHERE slug = 'alpha' RETURNING id"""
    await world.rows(publication, backend=made["id"])
    refused = await root.call("DELETE", "/backend/vllm")
    assert (refused.status_code, refused.json()["code"]) == (409, "backend_in_use")
    await world.rows("UPDATE publications SET status = 'deleted' RETURNING id")
    await root.ok("DELETE", "/backend/vllm")
    assert (await root.call("GET", "/backend/vllm")).status_code == 404


@pytest.mark.parametrize("who", ["alpha-admin", "alpha-user"])
async def test_only_a_system_admin_sees_backends(world: World, who: str) -> None:
    for method, path in [("GET", "/backend"), ("POST", "/backend"), ("GET", "/backend/x"), ("POST", "/backend/x/check"), ("DELETE", "/backend/x")]:
        body = {"name": "x", "baseUrl": "http://a"} if (method, path) == ("POST", "/backend") else None
        assert (await world[who].call(method, path, body)).status_code == 403


async def test_triton_tells_of_its_models_by_the_index_of_its_repository(prober: HttpProber, sim: Engine) -> None:
    """A version is an entry of its own there."""
    index = b'[{"name": "resnet", "version": "1", "state": "READY"}, {"name": "resnet", "version": "2"}, {"name": "bert", "version": "1"}]'
    sim.answers = {"/v2/health/ready": (200, b""), "/v2/repository/index": (200, index)}
    verdict = await prober.probe(Probe(sim.url))
    assert (verdict.reason, verdict.models, verdict.model_type) == ("", ("bert", "resnet"), ModelType.TRADITIONAL)
    sim.answers["/v2/repository/index"] = (200, b'{"models": []}')
    assert "POST /v2/repository/index: not an index of models" in (await prober.probe(Probe(sim.url))).reason


async def test_a_server_of_kserve_v1_alone_has_no_health_check_and_is_taken_by_its_list(prober: HttpProber, sim: Engine) -> None:
    sim.answers = {"/v1/models": (200, b'{"models": ["iris"]}')}
    verdict = await prober.probe(Probe(sim.url))
    assert (verdict.reason, verdict.models, verdict.model_type) == ("", ("iris",), ModelType.TRADITIONAL)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [((302, b""), "status 302"), ((200, b"x" * (MAX_BYTES + 1)), "more than"), ((200, b"<html>"), "not a list of models")],
    ids=["redirect", "too large", "not JSON"],
)
async def test_an_engine_is_a_stranger(prober: HttpProber, sim: Engine, answer: tuple[int, bytes], reason: str) -> None:
    sim.answers["/v1/models"] = answer
    verdict = await prober.probe(Probe(sim.url))
    assert (verdict.health, verdict.models) == (Health.UNHEALTHY, None)
    assert reason in verdict.reason


async def test_an_engine_that_hangs_is_not_waited_for(sim: Engine) -> None:
    sim.delay_s = 5
    with open_egress((ip_network("127.0.0.0/8"),)) as egress:
        verdict = await HttpProber(egress, CredentialFolder(None), timeout_seconds=0.3).probe(Probe(sim.url))
    assert "no answer within 0.3 s" in verdict.reason


async def test_what_the_gateway_saw_of_an_engine_is_shown(world: World, sim: Engine) -> None:
    made = await world["root"].ok("POST", "/backend", {"name": "vllm", "baseUrl": sim.url})
    other = await world["root"].ok("POST", "/backend", {"name": "other", "baseUrl": sim.url})
    publication = """INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status)
      SELECT gen_random_uuid(), CAST(:model AS text), id, 'openai', 'chat', CAST(:backend AS uuid), 'published'
      FROM orgs WHERE slug = 'alpha' RETURNING id"""
    (alone,) = await world.rows(publication, model="alone", backend=made["id"])
    (pool,) = await world.rows(publication, model="pool", backend=made["id"])
    for backend in (made, other):
        targets = "INSERT INTO publication_targets VALUES (:publication, CAST(:backend AS uuid), 100, 0) RETURNING 1"
        await world.rows(targets, publication=pool.id, backend=backend["id"])
    rollup = """INSERT INTO usage_model_quarter_hours (period_start, publication_id, model, endpoint, outcome, requests,
        input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, durations, first_tokens)
      VALUES (date_trunc('hour', now()) + interval '15 minutes' * CAST(:quarters AS int), :publication, 'm', 'chat_completions',
        CAST(:outcome AS text), :requests, 0, 0, 0, 0, '{}', '{}') RETURNING 1"""
    quarter = datetime.now(UTC).minute // 15
    for of, outcome, requests, quarters in (
        (alone, "complete", 15, quarter),
        (alone, "upstream_error", 5, quarter),
        (alone, "complete", 99, -20),
        (pool, "complete", 7, quarter),
    ):
        await world.rows(rollup, publication=of.id, outcome=outcome, requests=requests, quarters=quarters)
    seen = (await world["root"].ok("GET", "/backend/vllm"))["seen"]
    assert (seen["requests"], seen["errors"], seen["errorRate"]) == (20, 5, 0.25)
    assert (await world["root"].ok("GET", "/backend/other"))["seen"]["errorRate"] is None
