"""Whatever a gateway should serve is rendered, the same each time, and nothing in it opens the gateway or points at nothing."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.kubernetes.forbidden import refuse_forbidden
from controlplane.kubernetes.profile import Endpoint, GatewayProfile, GlobalLimit
from controlplane.kubernetes.render.manifests import key_of
from controlplane.kubernetes.render.rendering import render
from tests.support.gateway_profiles import profile

LIMIT = GlobalLimit(requests=10, service=Endpoint(host="10.0.0.1", port=9003))
IDS = [f"engine-{number}" for number in range(6)]

profiles = st.builds(
    profile,
    profile=st.sampled_from(["plain", "aigateway"]),
    metering=st.sampled_from(["inline", "shadow"]),
    global_limit=st.sampled_from([None, LIMIT]),
    grpc_listeners=st.just(()),
) | st.just(profile())
hosts = st.sampled_from(["http://10.1.2.3:8000", "http://vllm.models.svc:8000", "https://models.example.com", "http://[2001:db8::1]:8000"])
counts = st.none() | st.integers(1, 1_000_000)
traffics = st.builds(GatewayTraffic, st.integers(1, 600_000), counts, counts, counts, counts, counts)


@st.composite
def targets(draw: st.DrawFn) -> tuple[GatewayTarget, ...]:
    chosen = draw(st.lists(st.sampled_from(IDS), max_size=6, unique=True))
    return tuple(GatewayTarget(engine, draw(st.integers(1, 100)), draw(st.sampled_from([0, 7]))) for engine in chosen)


@st.composite
def states(draw: st.DrawFn) -> GatewayState:
    backends = (*(GatewayBackend(engine, draw(hosts)) for engine in IDS), GatewayBackend("locked", draw(hosts), credential="engine-key"))
    engines = targets() | st.just((GatewayTarget("locked"),))
    names = draw(st.lists(st.text(min_size=1, max_size=80), max_size=8, unique=True))
    paths = st.sampled_from(["", "/v1/models/x", "/acme/chat", "/acme/other"])
    protocols = st.sampled_from(["openai", "traditional"])
    routes = (GatewayRoute(name, draw(engines), draw(traffics), draw(paths), draw(st.booleans()), draw(protocols)) for name in names)
    return GatewayState(backends, tuple(routes))


def references(document: Any) -> Iterator[tuple[str, str]]:
    """What a manifest refers to of ours, by kind and name."""
    if isinstance(document, dict):
        if document.get("kind") in {"Backend", "HTTPRouteFilter", "EnvoyProxy"} and "name" in document:
            yield document["kind"], document["name"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


@given(states(), profiles)
def test_any_state_is_rendered_and_the_same_each_time(state: GatewayState, chosen: GatewayProfile) -> None:
    manifests = render(state, chosen)
    turned = GatewayState(tuple(reversed(state.backends)), tuple(reversed(state.routes)))
    assert manifests == render(state, chosen) == render(turned, chosen)
    keys = [key_of(manifest) for manifest in manifests]
    assert keys == sorted(set(keys))


@given(states(), profiles)
def test_nothing_opens_the_gateway(state: GatewayState, chosen: GatewayProfile) -> None:
    manifests = render(state, chosen)
    refuse_forbidden(manifests)
    assert {manifest["kind"] for manifest in manifests} >= {"SecurityPolicy", "EnvoyExtensionPolicy"}


@given(states(), profiles)
def test_every_reference_has_its_object(state: GatewayState, chosen: GatewayProfile) -> None:
    manifests = render(state, chosen)
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    assert {reference for manifest in manifests for reference in references(manifest["spec"])} <= there


@given(states(), profiles)
def test_every_way_to_an_engine_needs_the_word_of_extauth(state: GatewayState, chosen: GatewayProfile) -> None:
    for manifest in render(state, chosen):
        for rule in manifest["spec"].get("rules", []):
            for match in rule["matches"] if "backendRefs" in rule else []:
                assert "x-ias-model" in {header["name"] for header in match["headers"]}
