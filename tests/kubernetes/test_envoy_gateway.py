"""The real controller reads what is in the API server, and says so in conditions."""

import time
import urllib.error
import urllib.request

from standalone.ports import reserve
from tests.support.envoy_gateway import CONTROLLER, EnvoyGateway
from tests.support.kubernetes import KubernetesServer

GATEWAY = "/apis/gateway.networking.k8s.io/v1"


def condition(found: dict, name: str) -> bool:
    return any(one["type"] == name and one["status"] == "True" for one in found.get("status", {}).get("conditions", []))


def test_a_gateway_is_accepted_programmed_and_answers(kubernetes: KubernetesServer, envoy_gateway: EnvoyGateway, namespace: str) -> None:
    port = reserve("127.0.0.1")
    port.holder.close()
    kind = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": namespace},
        "spec": {"controllerName": CONTROLLER},
    }
    kubernetes.apply(f"{GATEWAY}/gatewayclasses/{namespace}", kind)
    listener = {"name": "http", "protocol": "HTTP", "port": port.number}
    gateway = {**kind, "kind": "Gateway", "metadata": {"name": "llm"}, "spec": {"gatewayClassName": namespace, "listeners": [listener]}}
    path = f"{GATEWAY}/namespaces/{namespace}/gateways/llm"
    kubernetes.apply(path, gateway)
    try:
        envoy_gateway.adopt(namespace, "llm", port.number)
        deadline = time.monotonic() + 30
        while not (condition(found := kubernetes.call("GET", path), "Accepted") and condition(found, "Programmed")):
            assert time.monotonic() < deadline, f"{found['status']}\n{envoy_gateway.log.read_text()[-3000:]}"
            time.sleep(0.1)
        while (status := _status(f"http://127.0.0.1:{port.number}/")) is None:
            assert time.monotonic() < deadline, envoy_gateway.log.read_text()[-3000:]
            time.sleep(0.1)
        assert status == 404
        assert _status(f"{envoy_gateway.admin_url()}/ready") == 200
    finally:
        # Each Gateway has an Envoy of its own, and each Envoy takes a fixed port.
        kubernetes.call("DELETE", path)


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
