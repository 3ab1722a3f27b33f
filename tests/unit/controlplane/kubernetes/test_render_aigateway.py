"""Manifests of profile `aigateway`."""

from collections.abc import Sequence

import pytest

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.kubernetes.render.manifests import Json, Manifest
from controlplane.kubernetes.render.rendering import render
from tests.support.gateway_profiles import ORDINARY, profile
from tests.support.golden import assert_golden
from tests.unit.controlplane.kubernetes.test_render import as_yaml

AI = profile(profile="aigateway")


def of_kind(manifests: Sequence[Manifest], kind: str) -> list[Json]:
    return [manifest["spec"] for manifest in manifests if manifest["kind"] == kind]


def test_the_whole_of_an_ordinary_installation() -> None:
    assert_golden("kubernetes/aigateway.yaml", as_yaml(render(ORDINARY, AI)))


def test_an_openai_model_is_found_only_where_extauth_and_ai_gateway_agree() -> None:
    rules = [rule for route in of_kind(render(ORDINARY, AI), "AIGatewayRoute") for rule in route["rules"]]
    matched = [{header["name"]: header["value"] for header in rule["matches"][0]["headers"]} for rule in rules]
    models = ("meta-llama/Llama-3.1-8B", "pooled")
    assert sorted(matched, key=str) == sorted(({"x-ai-eg-model": model, "x-ias-model": model} for model in models), key=str)


def test_our_entry_leaves_the_paths_of_openai_to_ai_gateway() -> None:
    def entry(state: GatewayState) -> list[str]:
        (route,) = [item["spec"] for item in render(state, AI) if item["metadata"]["name"] == "ias-entry-0"]
        return [match["path"]["value"] for match in route["rules"][0]["matches"]]

    assert entry(ORDINARY) == ["/v1/models/[^/]+", "/v2", "/models", "/acme/iris"]
    assert entry(GatewayState()) == ["/v1", "/v2", "/models"], "without a model AI Gateway brings no entry, and 401 must be 401 all the same"


def test_traditional_models_stay_routes_of_gateway_api() -> None:
    manifests = render(ORDINARY, AI)
    assert [item["metadata"]["annotations"] for item in manifests if item["kind"] == "HTTPRoute" and "-model-" in item["metadata"]["name"]] == [
        {"ias.dev/model": "iris"}
    ]
    assert len(of_kind(manifests, "GRPCRoute")) == 2


def test_ai_gateway_names_no_costs_or_it_would_undo_what_extproc_writes() -> None:
    assert of_kind(render(ORDINARY, AI), "GatewayConfig") == [{}]
    assert not any("llmRequestCosts" in route for route in of_kind(render(ORDINARY, AI), "AIGatewayRoute"))


def test_many_priorities_are_possible_where_ai_gateway_routes() -> None:
    engines = tuple(GatewayTarget(f"e{number}", 1, 10 * number) for number in range(4))
    backends = tuple(GatewayBackend(target.backend_id, f"http://{target.backend_id}:1") for target in engines)
    (route,) = of_kind(render(GatewayState(backends, (GatewayRoute("m", engines),)), AI), "AIGatewayRoute")
    assert [target["priority"] for target in route["rules"][0]["backendRefs"]] == [0, 1, 2, 3]


def test_more_engines_than_a_route_takes_are_refused() -> None:
    engines = tuple(GatewayTarget(f"e{number}") for number in range(129))
    backends = tuple(GatewayBackend(target.backend_id, f"http://{target.backend_id}:1") for target in engines)
    with pytest.raises(GatewayRejected, match="129 backends"):
        render(GatewayState(backends, (GatewayRoute("m", engines),)), AI)


def test_timeouts_of_a_model_are_said_or_ai_gateways_would_hold() -> None:
    state = GatewayState((GatewayBackend("a", "http://a:1"),), (GatewayRoute("m", (GatewayTarget("a"),), GatewayTraffic(silence_timeout_s=7)),))
    (route,) = of_kind(render(state, AI), "AIGatewayRoute")
    assert (route["rules"][0]["timeouts"], route["rules"][0]["streamIdleTimeout"]) == ({"request": "0s"}, "7s")


def test_each_engine_has_its_own_credential_by_reference() -> None:
    backends = (GatewayBackend("a", "http://a:1", credential="a-key"), GatewayBackend("b", "http://b:1"))
    state = GatewayState(backends, (GatewayRoute("m", (GatewayTarget("a"), GatewayTarget("b"))),))
    (policy,) = of_kind(render(state, AI), "BackendSecurityPolicy")
    assert policy["apiKey"] == {"secretRef": {"name": "a-key"}}
