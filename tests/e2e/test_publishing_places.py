"""Where published models are: at a path of their own, at a hostname of their own, and with KServe's protocol; through the whole service."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx2
import pytest

from tests.e2e.world import CHAT, Tenant, World, until

DEADLINE_S = 10


def ask(world: World, method: str, path: str, key: str | None = None, host: str | None = None, **body: Any) -> httpx2.Response:
    headers = {**({"authorization": f"Bearer {key}"} if key else {}), **({"host": host} if host else {})}
    return httpx2.request(method, f"{world.gateway}{path}", json=body or None, headers=headers, timeout=30)


def change(world: World, model: str, **config: Any) -> None:
    world.admin.call("PUT", f"/api/models/{model}/publish", json={"config": config})


def test_a_base_path_forces_its_model(world: World, tenant: Tenant) -> None:
    model = world.publish(tenant, config={"externalPath": "/apps/e2e-one"})
    other = world.publish(tenant)
    chat = "/apps/e2e-one/chat/completions"
    answer = until(lambda: _good(ask(world, "POST", chat, tenant.api_key, model=other, messages=CHAT, max_tokens=2)), DEADLINE_S)
    row = world.row(tenant.user, answer.headers["x-request-id"])
    assert row["model"] == model, "whatever the body says"
    shown = ask(world, "GET", "/apps/e2e-one", tenant.api_key).json()
    assert (shown["id"], shown["object"]) == (model, "model")
    assert ask(world, "POST", chat, None, model=model, messages=CHAT).status_code == 401
    assert ask(world, "GET", "/apps/e2e-one/metrics", tenant.api_key).status_code == 404
    change(world, model, externalPath="/apps/e2e-two")
    until(lambda: _good(ask(world, "POST", chat.replace("one", "two"), tenant.api_key, messages=CHAT, max_tokens=2)), DEADLINE_S)
    assert ask(world, "POST", chat, tenant.api_key, model=model, messages=CHAT).status_code == 404


def test_a_hostname_has_its_own_models(world: World, tenant: Tenant) -> None:
    host = f"{tenant.slug}.models.example"
    own = world.publish(tenant, config={"publicHostname": host.upper()})
    elsewhere = world.publish(tenant, config={"publicHostname": f"other.{host}"})
    until(lambda: _good(ask(world, "POST", "/v1/chat/completions", tenant.api_key, host, model=own, messages=CHAT, max_tokens=2)), DEADLINE_S)
    assert ask(world, "POST", "/v1/chat/completions", tenant.api_key, host, model=elsewhere, messages=CHAT).status_code == 404


class _KServe(BaseHTTPRequestHandler):
    """A KServe v2 server with one model."""

    GET: ClassVar[dict[str, Any]] = {
        "/v2/health/ready": {},
        "/v2/models": {"models": ["iris"]},
        "/v2/models/iris": {"name": "iris", "platform": "test"},
    }
    POST: ClassVar[dict[str, Any]] = {"/v1/models/iris:predict": {"predictions": [1]}, "/v2/models/iris/infer": {"model_name": "iris", "outputs": []}}

    def do_GET(self) -> None:
        self._answer(self.GET.get(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self._answer(self.POST.get(self.path))

    def _answer(self, content: Any) -> None:
        body = json.dumps(content if content is not None else {"error": "no such path"}).encode()
        self.send_response(404 if content is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kserve(world: World) -> Iterator[str]:
    """The name of a KServe backend."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _KServe) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = f"kserve-{server.server_port}"
        made = world.admin.call("POST", "/api/backend", json={"name": name, "baseUrl": f"http://127.0.0.1:{server.server_port}"})
        assert (made["kind"], made["models"]) == ("traditional", ["iris"])
        yield name
        world.tidy()
        world.admin.raw("DELETE", f"/api/backend/{name}")
        server.shutdown()


def test_a_traditional_model_is_published_as_the_guide_says(world: World, kserve: str) -> None:
    tenant = world.tenant()
    path, name = f"/api/models/iris-{tenant.slug}/publish", f"iris-{tenant.slug}"
    config = {"tenantId": tenant.slug, "upstreamModel": "iris", "backend": kserve}
    made = world.admin.call("POST", path, json={"config": config})
    assert (made["modelType"], made["status"], made["externalPath"]) == ("traditional", "published", f"/models/{name}")
    predict = f"/models/{name}/predict"
    body = {"instances": [{"feature1": 1.0, "feature2": 2.0}]}
    answer = httpx2.post(f"{world.gateway}{predict}", json=body, headers={"x-api-key": made["apiKey"]}, timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [1]})
    assert ask(world, "POST", f"/models/{name}/infer", made["apiKey"], inputs=[]).status_code == 200
    assert ask(world, "POST", predict, None, **body).status_code == 401
    change(world, name, authentication={"requireApiKey": False})
    until(lambda: _good(ask(world, "POST", predict, None, **body)), DEADLINE_S)
    change(world, name, authentication={"requireApiKey": True})
    until(lambda: ask(world, "POST", predict, None, **body).status_code == 401, DEADLINE_S)
    world.admin.call("DELETE", path)
    until(lambda: ask(world, "POST", predict, tenant.api_key, **body).status_code == 404, DEADLINE_S)


def _good(answer: httpx2.Response) -> httpx2.Response | None:
    return answer if answer.status_code == 200 else None
