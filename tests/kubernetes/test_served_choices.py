"""What an installation may choose, through a real Envoy Gateway and Envoy: TLS, pools, credentials of engines, shadow metering."""

import base64
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
import yaml

from tests.e2e.world import CHAT, Tenant, simulate, until
from tests.kubernetes.served import Served, free_port, served
from tests.support.envoy_gateway import EnvoyGateway
from tests.support.kubernetes import KubernetesServer
from tests.support.simulator import running_simulator

pytestmark = pytest.mark.timeout(300)  # the first test waits for an API server, Envoy Gateway and `ias up`

CHAT_PATH = "/v1/chat/completions"
HOSTS = ("models.example", "tenant.example")


@dataclass(frozen=True)
class Tls:
    """A listener for each of HOSTS on one port, each with a certificate of its own."""

    port: int
    authority: trustme.CA

    def client(self, **options: Any) -> httpx2.Client:
        trust = ssl.create_default_context()
        self.authority.configure_trust(trust)
        return httpx2.Client(base_url=f"https://127.0.0.1:{self.port}", verify=trust, trust_env=False, timeout=20, **options)


@pytest.fixture(scope="module")
def tls() -> Tls:
    return Tls(free_port(), trustme.CA())


@pytest.fixture(scope="module")
def gateway(kubernetes_server: KubernetesServer, envoy_gateway: EnvoyGateway, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    listeners = [{"name": host.partition(".")[0], "port": tls.port, "hostname": host, "certificate": host} for host in HOSTS]
    with served(tmp_path_factory.mktemp("choices"), kubernetes_server, envoy_gateway, listeners) as running:
        for host in HOSTS:
            certificate = tls.authority.issue_cert(host)
            chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
            put_secret(running, host, {"tls.crt": chain, "tls.key": certificate.private_key_pem.bytes()}, "kubernetes.io/tls")
        running.write()
        until(lambda: running.asked("/v1/models").status_code == 401, 20)
        yield running


@pytest.fixture(scope="module")
def tenant(gateway: Served) -> Tenant:
    return gateway.world.tenant()


def put_secret(gateway: Served, name: str, data: dict[str, bytes], kind: str = "Opaque") -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": gateway.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": encoded}
    gateway.server.apply(f"/api/v1/namespaces/{gateway.namespace}/secrets/{name}", secret)


def ask(gateway: Served, model: str, key: str) -> httpx2.Response:
    return gateway.asked(CHAT_PATH, key, json={"model": model, "messages": CHAT})


def status_of(gateway: Served, model: str, key: str) -> int:
    return ask(gateway, model, key).status_code


def test_an_admitted_request_without_a_route_is_a_model_that_was_not_found(gateway: Served, tenant: Tenant) -> None:
    unrouted = gateway.world.publish(tenant)  # and nothing is written into the cluster
    answer = until(lambda: (found := ask(gateway, unrouted, tenant.api_key)).status_code != 401 and found)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert unrouted in answer.json()["error"]["message"]
    row = gateway.world.row(tenant.user, answer.headers["x-request-id"])
    assert (row["model"], row["outputTokens"]) == (unrouted, 0)


def test_each_hostname_has_its_certificate_and_all_that_the_others_have(gateway: Served, tenant: Tenant, tls: Tls) -> None:
    model = gateway.world.publish(tenant)
    gateway.write()
    until(lambda: status_of(gateway, model, tenant.api_key) == 200, 10)
    key, body = {"authorization": f"Bearer {tenant.api_key}"}, {"model": model, "messages": CHAT}
    for host in HOSTS:
        with tls.client(http2=True, headers={"host": host}) as client:
            named = {"sni_hostname": host}
            answer = client.post(CHAT_PATH, json=body, headers=key, extensions=named)
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2"), host
            assert gateway.world.row(tenant.user, answer.headers["x-request-id"])["outcome"] == "complete"
            keyless = client.post(CHAT_PATH, json=body, extensions=named)
            assert (keyless.status_code, keyless.json()["error"]["code"]) == (401, "invalid_api_key")
            unknown = client.get("/metrics", extensions=named)
            assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url"), "Envoy's own reply, in our shape"
            spoofed = client.post(CHAT_PATH, json=body, headers={"x-ias-model": model, "x-ias-context": "forged"}, extensions=named)
            assert spoofed.status_code == 401
    with tls.client() as client, pytest.raises(httpx2.ConnectError):
        client.get("/v1/models", extensions={"sni_hostname": "other.example"})


def test_a_pool_shares_by_weight_and_falls_back_when_engines_die(gateway: Served, tenant: Tenant, tmp_path: Path) -> None:
    names = ("first", "second", "spare")
    with ExitStack() as stack:
        engines = {}
        for name in names:
            (folder := tmp_path / name).mkdir()
            engines[name] = stack.enter_context(running_simulator(folder, "--models", "sim-chat", "--tokens", "2"))
            gateway.world.admin.call("POST", "/api/backend", json={"name": name, "baseUrl": engines[name].url})
        pool = [{"name": "first"}, {"name": "second"}, {"name": "spare", "priority": 1}]
        model = gateway.world.publish(tenant, config={"backends": pool})
        gateway.write()
        until(lambda: status_of(gateway, model, tenant.api_key) == 200, 10)
        before = {name: len(engine.entries()) for name, engine in engines.items()}
        assert [status_of(gateway, model, tenant.api_key) for _ in range(20)] == [200] * 20
        served_by = {name: len(engine.entries()) - before[name] for name, engine in engines.items()}
        assert served_by["first"] > 0
        assert served_by["second"] > 0
        assert served_by["spare"] == 0
        for dead in ("first", "second"):
            os.kill(engines[dead].pid, signal.SIGKILL)
            assert [status_of(gateway, model, tenant.api_key) for _ in range(10)] == [200] * 10, f"{dead} has died"
        assert len(engines["spare"].entries()) > 0


@pytest.fixture(scope="module")
def locked(gateway: Served, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model whose engine demands a key, which Envoy has from a Secret, as ours has it from a file."""
    (gateway.stack.home / "credentials" / "engine-key").write_text("sk-good")
    put_secret(gateway, "engine-key", {"credential": b"Bearer sk-good"})
    with running_simulator(tmp_path_factory.mktemp("locked"), "--models", "sim-chat", "--api-key", "sk-good") as engine:
        backend = {"name": "locked", "baseUrl": engine.url, "credential": "engine-key"}
        gateway.world.admin.call("POST", "/api/backend", json=backend)
        model = gateway.world.publish(tenant, config={"backend": "locked"})
        gateway.write()
        yield model


def test_an_engine_is_shown_its_credential_and_one_that_refuses_it_is_no_fault_of_the_client(gateway: Served, tenant: Tenant, locked: str) -> None:
    until(lambda: status_of(gateway, locked, tenant.api_key) == 200, 10)
    put_secret(gateway, "engine-key", {"credential": b"Bearer sk-wrong"})
    answer = until(lambda: (found := ask(gateway, locked, tenant.api_key)).status_code != 200 and found, 10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unauthorized")
    row = gateway.world.row(tenant.user, answer.headers["x-request-id"])
    assert (row["outcome"], row["inputTokens"], row["outputTokens"]) == ("upstream_error", 0, 0)


def test_shadow_changes_nothing_and_counts_all(gateway: Served, tenant: Tenant, locked: str) -> None:
    """The last one here: the gateway of the others becomes one that only watches."""
    profile = yaml.safe_load(gateway.profile.read_text())
    gateway.profile.write_text(yaml.safe_dump({**profile, "metering": "shadow"}))
    # By its own name: nothing is written into a body, not the engine's name for the model either.
    model = gateway.world.publish(tenant, name="sim-chat", config={"backend": "sim"})
    gateway.write()
    until(lambda: status_of(gateway, model, tenant.api_key) == 200, 10)
    until(lambda: status_of(gateway, locked, tenant.api_key) == 401, 10)  # the engine's own answer: nothing can be put in its place
    client = gateway.world.client(tenant.api_key)
    asked = {"model": model, "messages": CHAT, "stream": True, "stream_options": {"include_usage": True}, "extra_headers": simulate(tokens=9)}
    stream = client.chat.completions.create(**asked)
    request_id = stream.response.headers["x-request-id"]
    assert [chunk.usage.completion_tokens for chunk in stream if chunk.usage] == [9], "as the engine sent it"
    row = gateway.world.row(tenant.user, request_id)
    assert (row["stream"], row["outcome"], row["outputTokens"], row["usageSource"]) == (True, "complete", 9, "reported")
    whole = client.chat.completions.with_raw_response.create(model=model, messages=CHAT)
    usage = whole.parse().usage
    assert usage is not None
    row = gateway.world.row(tenant.user, whole.headers["x-request-id"])
    assert (row["inputTokens"], row["outputTokens"]) == (usage.prompt_tokens, usage.completion_tokens)
