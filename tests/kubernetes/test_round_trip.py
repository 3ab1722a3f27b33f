"""Any state of any gateway is accepted by schemas and CEL rules, comes back as it was written, and takes the place of any other."""

import asyncio
from dataclasses import replace

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controlplane.gateway.ports import GatewayState
from controlplane.kubernetes.api import open_api
from controlplane.kubernetes.changes import changes
from controlplane.kubernetes.cluster_api import KubernetesCluster
from controlplane.kubernetes.gateway_kubernetes import KubernetesGateway, namespaces_of
from controlplane.kubernetes.objects import key_of
from controlplane.kubernetes.profile import Endpoint, GatewayProfile
from controlplane.kubernetes.render.rendering import render
from tests.kubernetes.test_gateway import NOBODY
from tests.property.test_kubernetes_rendering import profiles, states
from tests.support.kubernetes import KubernetesServer, crds

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", fullmatch=True)
"""What publishing takes for a name."""


def test_any_state_equals_itself_after_a_round_trip(kubernetes_server: KubernetesServer) -> None:
    home, other = kubernetes_server.make_namespace("trip"), kubernetes_server.make_namespace("trip")
    seen: set[str] = set()

    # A smaller counterexample would cost minutes: each try writes to a server.
    @settings(max_examples=15, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    @given(states(), st.lists(NAMES, min_size=8, max_size=8, unique=True), profiles)
    def trip(state: GatewayState, names: list[str], profile: GatewayProfile) -> None:
        if profile.profile == "aigateway" and not crds("aigw"):
            return
        routes = tuple(replace(route, model=name) for route, name in zip(state.routes, names, strict=False))
        metering = Endpoint(service="extproc", namespace=other, port=9002)
        placed = msgspec.structs.replace(profile, namespace=home, gateway=home, gateway_class=home, controller=NOBODY, extproc=metering)
        asyncio.run(_trip(kubernetes_server, GatewayState(state.backends, routes), placed))
        seen.add(profile.profile)

    trip()
    assert "plain" in seen


async def _trip(server: KubernetesServer, state: GatewayState, profile: GatewayProfile) -> None:
    async with open_api(server.kubeconfig()) as api:
        cluster = KubernetesCluster(api, profile.gateway, profile.namespace)
        await KubernetesGateway(cluster, profile, confirm_s=0).apply(state)
        desired = render(state, profile)
        live = await cluster.live(namespaces_of(desired, profile))
        assert {key_of(found) for found in live} == {key_of(manifest) for manifest in desired}
        assert not changes(desired, live)
