"""Profiles and states of gateways on Kubernetes, for tests of what is rendered from them."""

from typing import Any

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.kubernetes.profile import Endpoint, GatewayProfile, Listener

EXTAUTH = Endpoint(service="extauth", port=9001)
EXTPROC = Endpoint(service="extproc", namespace="ias-metering", port=9002)
TLS = Listener(name="https", port=443, certificate="models-tls")
GRPC = Listener(name="grpc", port=8443, certificate="models-tls")


def profile(**chosen: Any) -> GatewayProfile:
    """Make the profile of an ordinary installation, with what the test chooses instead."""
    return GatewayProfile(**{"extauth": EXTAUTH, "extproc": EXTPROC, "listeners": (TLS,), "grpc_listeners": (GRPC,), **chosen})


ORDINARY = GatewayState(
    backends=(
        GatewayBackend("gpu-a", "http://vllm-a.models.svc.cluster.local:8000"),
        GatewayBackend("gpu-b", "https://vllm-b.example.com"),
        GatewayBackend("iris", "http://10.1.2.3:8080", "/v2/health/ready"),
    ),
    routes=(
        GatewayRoute.to_one("meta-llama/Llama-3.1-8B", "gpu-a"),
        GatewayRoute("pooled", (GatewayTarget("gpu-a", 70), GatewayTarget("gpu-b", 30, 1)), GatewayTraffic(answer_timeout_s=600, max_requests=100)),
        GatewayRoute("iris", (GatewayTarget("iris"),), external_path="/acme/iris", protocol="traditional"),
    ),
)
"""A model on one engine, one with a fallback and limits of its own, and a traditional one at a path of its own."""
