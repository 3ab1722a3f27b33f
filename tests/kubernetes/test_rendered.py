"""A state that uses every field, up to Gateway API's own limits, fits the schemas and rules of every CRD and comes back as it was."""

from typing import Any

import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.kubernetes.profile import Endpoint, GlobalLimit, Listener
from controlplane.kubernetes.render.rendering import render
from tests.kubernetes.served import path_of
from tests.kubernetes.test_gateway import NOBODY
from tests.support.gateway_profiles import TLS, profile
from tests.support.kubernetes import KubernetesServer, crds

TENANT = Listener(name="tenant", port=443, hostname="models.example.com", certificate="tenant")
CHOICES: dict[str, dict[str, Any]] = {
    **({"aigateway": {"profile": "aigateway"}} if crds("aigw") else {}),
    "plain": {
        "metering": "shadow",
        "global_limit": GlobalLimit(requests=600, service=Endpoint(unix="/run/ias/ratelimit.sock")),
        "extauth": Endpoint(unix="/run/ias/extauth.sock"),
        "listeners": (
            TLS,
            Listener(name="tenant", port=443, hostname="models.example.com", certificate="tenant"),
            Listener(name="http", port=80, plaintext=True),
        ),
        "engine_ca": "engines",
        "replicas": 3,
        "trusted_hops": 2,
        "max_stream_duration_s": 172_801,
    },
}
EVERY_FIELD = GatewayState(
    backends=(
        *(GatewayBackend(f"e{number}", f"https://e{number}.example.com") for number in range(16)),
        GatewayBackend("locked", "https://locked.example.com", credential="engine-key"),
    ),
    routes=(
        GatewayRoute("a/B:c", tuple(GatewayTarget(f"e{number}", number + 1, number % 2) for number in range(16)), GatewayTraffic(1, 1, 1, 1, 1, 1)),
        GatewayRoute("traditional", (GatewayTarget("e0"),), GatewayTraffic(600_000, 86_400, 172_800), "/own/path", False, "traditional"),
        GatewayRoute("no-engine", ()),
        GatewayRoute.to_one("locked", "locked"),
        *(GatewayRoute(f"at-{number}", (GatewayTarget("e1"),), external_path=f"/at/{number}") for number in range(70)),
    ),
)


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES.keys())
def test_every_manifest_is_accepted_and_comes_back_as_it_was(kubernetes: KubernetesServer, namespace: str, chosen: dict[str, Any]) -> None:
    mine = {"namespace": namespace, "gateway_class": namespace, "controller": NOBODY}
    metering = Endpoint(service="extproc", namespace=kubernetes.make_namespace(), port=9002)
    for manifest in render(EVERY_FIELD, profile(**{**mine, "extproc": metering, **chosen})):
        path = path_of(manifest)
        kubernetes.apply(path, manifest)
        assert difference(manifest, kubernetes.call("GET", path)) == []


def difference(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """What of ours is not there; the server adds defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [found for name, value in ours.items() for found in difference(value, theirs.get(name), f"{where}/{name}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [found for number, value in enumerate(ours) for found in difference(value, theirs[number], f"{where}/{number}")]
    return [] if ours == theirs else [f"{where}: {ours!r} became {theirs!r}"]
