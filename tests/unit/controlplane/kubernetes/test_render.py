"""Manifests of profile `plain`: the whole as golden files, and what must hold of each part."""

import json
from collections.abc import Sequence

import pytest
import yaml

from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.kubernetes.labels import GATEWAY, MANAGED_BY, MODEL, PART_OF
from controlplane.kubernetes.profile import Endpoint, GatewayProfile, GlobalLimit, Listener
from controlplane.kubernetes.render.manifests import KINDS, Manifest, key_of, name_of
from controlplane.kubernetes.render.rendering import render
from tests.support.gateway_profiles import ORDINARY, TLS, profile
from tests.support.golden import assert_golden


def as_yaml(manifests: Sequence[Manifest]) -> str:
    """Write them down, but for the local replies, which golden/gateway/bootstrap.yaml has."""
    documents = json.loads(json.dumps(manifests))
    for policy in documents:
        for patch in policy["spec"].get("jsonPatches", []):
            if patch["operation"]["path"] == "/local_reply_config":
                patch["operation"]["value"] = "as in golden/gateway/bootstrap.yaml"
    return yaml.safe_dump_all(documents, sort_keys=True, width=160)


def one(manifests: Sequence[Manifest], kind: str, ending: str = "") -> Manifest:
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind and manifest["metadata"]["name"].endswith(ending)]
    return found


def to_engines(*engines: GatewayTarget) -> GatewayState:
    backends = tuple(GatewayBackend(target.backend_id, f"http://{target.backend_id}:8000") for target in engines)
    return GatewayState(backends, (GatewayRoute("m", engines),))


def test_the_whole_of_an_ordinary_installation() -> None:
    assert_golden("kubernetes/plain.yaml", as_yaml(render(ORDINARY, profile())))


def test_a_gateway_without_models_has_its_entry_and_its_policies() -> None:
    kinds = {manifest["kind"] for manifest in render(GatewayState(), profile())}
    assert {"Gateway", "SecurityPolicy", "EnvoyExtensionPolicy", "HTTPRoute"} <= kinds
    assert "Backend" not in kinds


def test_every_manifest_is_labelled_and_of_a_kind_that_garbage_is_looked_for_in() -> None:
    for manifest in render(ORDINARY, profile()):
        assert manifest["metadata"]["labels"] == {MANAGED_BY: "ias", PART_OF: "ias", GATEWAY: "ias"}
        assert (manifest["apiVersion"], manifest["kind"]) in KINDS


def test_the_order_is_that_of_the_keys_and_no_key_is_there_twice() -> None:
    keys = [key_of(manifest) for manifest in render(ORDINARY, profile())]
    assert keys == sorted(set(keys))


def test_the_order_of_the_state_does_not_matter() -> None:
    turned = GatewayState(tuple(reversed(ORDINARY.backends)), tuple(reversed(ORDINARY.routes)))
    assert render(turned, profile()) == render(ORDINARY, profile())


def test_a_model_is_found_by_its_exact_name_whatever_it_is() -> None:
    name = "org/Model:v1.0 (β)"
    state = GatewayState((GatewayBackend("a", "http://a:1"),), (GatewayRoute.to_one(name, "a"),))
    route = next(item for item in render(state, profile()) if "-model-" in item["metadata"]["name"])
    assert route["metadata"]["annotations"] == {MODEL: name}
    assert [match["headers"] for match in route["spec"]["rules"][0]["matches"]] == [[{"type": "Exact", "name": "x-ias-model", "value": name}]]


def test_names_that_look_alike_stay_apart() -> None:
    state = GatewayState((GatewayBackend("a", "http://a:1"),), (GatewayRoute.to_one("M/x", "a"), GatewayRoute.to_one("m-x", "a")))
    assert len([manifest for manifest in render(state, profile()) if "model-m-x" in manifest["metadata"]["name"]]) == 2


def test_a_model_route_matches_no_shorter_path_than_the_entry_or_the_entry_would_win() -> None:
    manifests = render(ORDINARY, profile())
    routes = [manifest for manifest in manifests if manifest["kind"] == "HTTPRoute" and "-model-" in manifest["metadata"]["name"]]
    paths = {match["path"]["value"] for route in routes for match in route["spec"]["rules"][0]["matches"]}
    entry = {match["path"]["value"] for match in one(manifests, "HTTPRoute", "-entry-0")["spec"]["rules"][0]["matches"]}
    assert paths == {"/v1", "/v1/models", "/v2"}
    assert entry == {"/v1", "/v2", "/models", "/acme/iris"}


def test_many_paths_of_publications_are_spread_over_routes() -> None:
    routes = tuple(GatewayRoute(f"m{number}", (GatewayTarget("a"),), external_path=f"/own/{number}") for number in range(100))
    manifests = render(GatewayState((GatewayBackend("a", "http://a:1"),), routes), profile())
    entries = [manifest for manifest in manifests if "-entry-" in manifest["metadata"]["name"] and manifest["kind"] == "HTTPRoute"]
    assert [len(entry["spec"]["rules"][0]["matches"]) for entry in entries] == [64, 39]


def test_calls_of_grpc_that_are_streams_have_no_route_for_extauth_would_wait_for_their_end() -> None:
    routes = [manifest["spec"]["rules"][0]["matches"] for manifest in render(ORDINARY, profile()) if manifest["kind"] == "GRPCRoute"]
    assert [[match["method"]["method"] for match in matches] for matches in routes] == [["ModelInfer", "ModelMetadata", "ModelReady"]] * 2


@pytest.mark.parametrize("manifests", [render(ORDINARY, profile()), render(ORDINARY, profile(metering="shadow"))], ids=["inline", "shadow"])
def test_nothing_passes_without_extauth(manifests: Sequence[Manifest]) -> None:
    for policy in [manifest for manifest in manifests if manifest["kind"] == "SecurityPolicy"]:
        assert policy["spec"]["extAuth"]["failOpen"] is False
        assert policy["spec"]["extAuth"]["recomputeRoute"] is True


def test_shadow_only_watches() -> None:
    (processor,) = one(render(ORDINARY, profile(metering="shadow")), "EnvoyExtensionPolicy")["spec"]["extProc"]
    assert processor["shadowMode"] is True
    assert processor["failOpen"] is True
    assert processor["processingMode"] == {"request": {}, "response": {"body": "Streamed"}}


def test_envoy_gateway_1_8_1_gets_no_field_that_it_does_not_know() -> None:
    (processor,) = one(render(ORDINARY, profile(envoy_gateway="1.8.1")), "EnvoyExtensionPolicy")["spec"]["extProc"]
    assert not {"shadowMode", "statusOnError"} & set(processor)


def test_a_fallback_is_a_backend_of_its_own() -> None:
    manifests = render(ORDINARY, profile())
    (fallback,) = [manifest for manifest in manifests if manifest["spec"].get("fallback")]
    pool = next(manifest for manifest in manifests if manifest["kind"] == "HTTPRoute" and "pooled" in manifest["metadata"]["name"])
    assert [(ref["name"] == fallback["metadata"]["name"], ref["weight"]) for ref in pool["spec"]["rules"][0]["backendRefs"]] == [
        (False, 70),
        (True, 30),
    ]


def test_a_model_with_settings_of_its_own_has_a_whole_policy_of_its_own() -> None:
    manifests = render(ORDINARY, profile())
    own = next(item for item in manifests if item["kind"] == "BackendTrafficPolicy" and "pooled" in item["metadata"]["name"])["spec"]
    everybody = one(manifests, "BackendTrafficPolicy", "-traffic")["spec"]
    assert set(everybody) < set(own)
    assert own["timeout"]["http"]["requestTimeout"] == "600s"
    assert own["circuitBreaker"]["maxParallelRequests"] == 100
    assert own["healthCheck"]["panicThreshold"] == 0
    assert own["retry"]["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}


def test_a_credential_is_a_reference_and_is_shown_when_the_engine_was_chosen() -> None:
    state = GatewayState((GatewayBackend("a", "http://a:1", credential="vllm-key"),), (GatewayRoute.to_one("m", "a"),))
    manifests = render(state, profile())
    injection = one(manifests, "HTTPRouteFilter", name_of(profile(), "model", "m"))
    assert injection["spec"]["credentialInjection"] == {"overwrite": True, "credential": {"valueRef": {"name": "vllm-key"}}}
    rule = one(manifests, "HTTPRoute", name_of(profile(), "model", "m"))["spec"]["rules"][0]
    assert [found["extensionRef"]["name"] for found in rule["backendRefs"][0]["filters"]] == [injection["metadata"]["name"]]
    assert {"authorization", "x-api-key", "api-key"} < set(rule["filters"][0]["requestHeaderModifier"]["remove"])
    assert injection["metadata"]["name"] not in str(rule["filters"]), "there it would never be switched on"


@pytest.mark.parametrize("chosen", [profile(), profile(profile="aigateway")], ids=["plain", "aigateway"])
def test_a_model_with_no_engine_left_is_unavailable(chosen: GatewayProfile) -> None:
    route = one(render(GatewayState((), (GatewayRoute("m", ()),)), chosen), "HTTPRoute", name_of(chosen, "model", "m"))
    (rule,) = route["spec"]["rules"]
    assert rule["filters"][0]["extensionRef"]["name"] == "ias-unavailable"
    assert "backendRefs" not in rule


def test_global_limits_go_to_our_own_service() -> None:
    limit = GlobalLimit(requests=600, service=Endpoint(service="ratelimit", port=9003))
    manifests = render(ORDINARY, profile(global_limit=limit))
    addresses = [patch["operation"].get("value") for patch in one(manifests, "EnvoyPatchPolicy", "-ratelimit")["spec"]["jsonPatches"]]
    assert addresses == [{"socket_address": {"address": "ratelimit.ias.svc.cluster.local", "port_value": 9003}}, None]
    policies = [manifest["spec"] for manifest in manifests if manifest["kind"] == "BackendTrafficPolicy"]
    assert all(policy["rateLimit"]["global"]["rules"][0]["limit"] == {"requests": 600, "unit": "Minute"} for policy in policies)


def test_patches_are_for_the_first_listener_of_each_port() -> None:
    listeners = (TLS, Listener(name="tenant", port=443, hostname="models.example.com", certificate="tenant"))
    patches = one(render(GatewayState(), profile(listeners=listeners)), "EnvoyPatchPolicy", "-listeners")["spec"]["jsonPatches"]
    assert {patch["name"] for patch in patches} == {"ias/ias/https", "ias/ias/grpc"}


def test_what_is_in_another_namespace_is_granted_by_name() -> None:
    listener = Listener(name="https", port=443, certificate="wildcard", certificate_namespace="certificates")
    grants = {
        item["metadata"]["namespace"]: item["spec"] for item in render(ORDINARY, profile(listeners=(listener,))) if item["kind"] == "ReferenceGrant"
    }
    assert set(grants) == {"certificates", "ias-metering"}
    assert grants["certificates"]["from"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "ias"}]
    assert grants["ias-metering"]["to"] == [{"group": "", "kind": "Service", "name": "extproc"}]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (GatewayState((), (GatewayRoute.to_one("m", "gone"),)), "not there"),
        (GatewayState((GatewayBackend("a", "http://a"), GatewayBackend("a", "http://b"))), "same id"),
        (GatewayState((GatewayBackend("a", "http://a"),), (GatewayRoute.to_one("m", "a"), GatewayRoute.to_one("m", "a"))), "two routes"),
        (GatewayState((GatewayBackend("a", "ftp://a"),)), "no address"),
        (GatewayState((GatewayBackend("a", "https://10.0.0.1:8000"),)), "DNS name"),
        (
            GatewayState(
                (GatewayBackend("a", "http://a:1", credential="key"), GatewayBackend("b", "http://b:1", credential="key")),
                (GatewayRoute("m", (GatewayTarget("a"), GatewayTarget("b"))),),
            ),
            "several backends, and they are shown a credential",
        ),
        (to_engines(GatewayTarget("a"), GatewayTarget("b", 1, 1), GatewayTarget("c", 1, 2)), "3 priorities"),
        (to_engines(*(GatewayTarget(f"e{number}") for number in range(17))), "17 backends"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(state: GatewayState, reason: str) -> None:
    with pytest.raises(GatewayRejected, match=reason):
        render(state, profile())


def test_long_durations_have_no_more_than_five_digits() -> None:
    state = GatewayState((GatewayBackend("a", "http://a"),), (GatewayRoute("m", (GatewayTarget("a"),), GatewayTraffic(answer_timeout_s=172_801)),))
    policy = next(item for item in render(state, profile()) if item["kind"] == "BackendTrafficPolicy" and "-model-" in item["metadata"]["name"])
    assert policy["spec"]["timeout"]["http"]["requestTimeout"] == "48h1s"
