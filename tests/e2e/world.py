"""What an e2e test knows of the world: REST as a person uses it, keys, models, the engine's own counters."""

import contextlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import openai

CHAT: list[Any] = [{"role": "user", "content": "Tell me about the sea in a few words."}]
T = TypeVar("T")


def until(probe: Callable[[], T], deadline_s: float = 10, every_s: float = 0.05) -> T:
    """Poll `probe` until it returns something true; fail with its last value at the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := probe()):
        assert time.monotonic() < end, f"still {value!r} after {deadline_s} s"
        time.sleep(every_s)
    return value


def simulate(**options: object) -> dict[str, str]:
    """Header that tells the engine simulator how to behave for one request."""
    return {"x-engine-simulate": ",".join(f"{name}={value}" for name, value in options.items())}


class Rest:
    """The control plane as one signed-in person sees it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=15)
        self.token: str = self.call("POST", "/api/login", json={"username": username, "password": password})["token"]
        self.http.headers["authorization"] = f"Bearer {self.token}"

    def raw(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        return self.http.request(method, path, **arguments)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self.raw(method, path, **arguments)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None


@dataclass
class Tenant:
    """An org with one signed-in user and one key."""

    org_id: str
    slug: str
    user: Rest
    user_id: str
    key_id: str
    api_key: str


class World:
    """A running service; makes tenants and models, and removes what it made."""

    def __init__(self, ready: dict[str, Any], admin_password: str) -> None:
        self.gateway: str = ready["gateway_url"]
        self.api: str = ready["api_url"]
        self.ready, self.admin_password = ready, admin_password
        self._undo: list[Callable[[], object]] = []
        self._clients = contextlib.ExitStack()
        self.admin = self.sign_in(ready.get("admin_username", "admin"), admin_password)

    def sign_in(self, username: str, password: str) -> Rest:
        rest = Rest(self.api, username, password)
        self._clients.callback(rest.http.close)
        return rest

    # --- tenants and models ---

    def tenant(self, **key: Any) -> Tenant:
        slug = f"e2e-{secrets.token_hex(4)}"
        org = self.admin.call("POST", "/api/org", json={"name": f"E2E {slug}", "slug": slug})
        self._undo.append(lambda: self.admin.raw("DELETE", f"/api/org/{org['id']}"))
        made = self.admin.call("POST", f"/api/org/{org['id']}/user", json={"username": f"dev-{slug}", "role": "org_user"})
        user = self.sign_in(f"dev-{slug}", made["initialPassword"])
        made_key = user.call("POST", "/api/key", json={"name": "e2e", **key})
        return Tenant(org["id"], slug, user, made["id"], made_key["id"], made_key["apiKey"])

    def publish(
        self, *tenants: Tenant, name: str | None = None, upstream: str = "sim-chat", config: dict[str, Any] | None = None, **limits: int | str
    ) -> str:
        """Publish a model of the simulator for tenants and wait until the gateway lets them use it; `config` adds to its configuration."""
        name = name or f"model-{secrets.token_hex(4)}"
        config = {
            "tenantId": tenants[0].slug,
            "modelType": "openai",
            "upstreamModel": upstream,
            "authentication": {"requireApiKey": True, "allowedTenants": [t.slug for t in tenants]},
            **({"rateLimiting": limits} if limits else {}),
            **(config or {}),
        }
        self.admin.call("POST", f"/api/models/{name}/publish", json={"config": config})
        self._undo.append(lambda: self.admin.raw("DELETE", f"/api/models/{name}/publish"))
        until(lambda: name in self.model_names(tenants[0].api_key), 3)
        return name

    def model_names(self, api_key: str) -> set[str]:
        try:
            return {model.id for model in self.client(api_key).models.list()}
        except openai.AuthenticationError:
            return set()  # the key is newer than extauth's last poll of the change log

    def on_tidy(self, undo: Callable[[], object]) -> None:
        """Have this done when the test is over."""
        self._undo.append(undo)

    def tidy(self) -> None:
        """Remove what was made here."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def close(self) -> None:
        self.tidy()
        self._clients.close()

    # --- clients ---

    def client(self, api_key: str) -> openai.OpenAI:
        return self._clients.enter_context(openai.OpenAI(base_url=f"{self.gateway}/v1", api_key=api_key, max_retries=0, timeout=30))

    def async_client(self, api_key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.gateway}/v1", api_key=api_key, max_retries=0, timeout=30)

    # --- what was counted ---

    def rows(self, who: Rest, request_id: str) -> list[dict[str, Any]]:
        response = who.raw("GET", f"/api/requests/{request_id}")
        items = response.json()["items"] if response.status_code == 200 else []
        return [item for item in items if item["decision"] == "admitted"]

    def row(self, who: Rest, request_id: str, deadline_s: float = 10) -> dict[str, Any]:
        """The one ledger row of a request, waited for."""
        rows = until(lambda: self.rows(who, request_id), deadline_s)
        assert len(rows) == 1, rows
        return rows[0]

    def totals(self, tenant: Tenant) -> dict[str, int]:
        totals: dict[str, int] = self.admin.call("GET", f"/api/analytics/org/{tenant.org_id}")["totals"]
        return totals

    def engine_tokens(self, model: str) -> tuple[int, int]:
        """(prompt, generation) counters of the engine simulator for a model."""
        text = httpx2.get(f"{self.ready['engine_url']}/metrics").text
        return _metric(text, "vllm:prompt_tokens_total", model), _metric(text, "vllm:generation_tokens_total", model)

    def admissions(self) -> int:
        """How many requests extauth has admitted since it started."""
        text = httpx2.get(f"{self.ready['metrics_urls']['extauth']}").text
        return round(sum(float(value) for value in re.findall(r"^ias_admissions_total\{.*\} (\S+)$", text, re.MULTILINE)))


def _metric(text: str, name: str, model: str) -> int:
    return round(sum(float(v) for v in re.findall(rf'^{re.escape(name)}\{{.*model_name="{re.escape(model)}".*\}} (\S+)$', text, re.MULTILINE)))
