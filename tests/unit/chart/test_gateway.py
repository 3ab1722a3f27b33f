"""The gateway of the chart: the profile that the control plane reads, and the rights that it needs to write what it renders from it."""

import json
from typing import Any

import pytest
import yaml

from controlplane.gateway.ports import GatewayState
from controlplane.kubernetes import rbac
from controlplane.kubernetes.profile import GatewayProfile, Listener, read_profile
from controlplane.kubernetes.render.rate_limits import rate_limit_rules
from controlplane.kubernetes.render.rendering import render
from tests.support.chart import GOLDEN, NAMESPACE, RELEASE, Manifest, golden_values, manifests, pods
from tests.support.gateway_profiles import ORDINARY
from tools import chart_doc

OF_THE_CHART = {"extauth", "extproc", "metering", "max_body_bytes", "max_stream_duration_s", "global_limit"}
"""What this chart knows by itself."""
NOT_IN_A_CLUSTER = {"on_host"}
WRITE = {"get", "list", "watch", "create", "patch", "delete"}


def profile_of(name: str) -> GatewayProfile:
    [config] = [one for one in manifests(name) if one["kind"] == "ConfigMap"]
    return read_profile(yaml.safe_load(config["data"]["profile.yaml"]))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_control_plane_renders_a_gateway_from_it(name: str) -> None:
    profile = profile_of(name)
    assert render(ORDINARY, profile)
    own = {(one["metadata"]["name"], one["metadata"]["namespace"]) for one in manifests(name) if one["kind"] == "Service"}
    limits = [profile.global_limit.service] if profile.global_limit else []
    for endpoint, port in ((profile.extauth, 9001), (profile.extproc, 9002), *((one, 9004) for one in limits)):
        assert (endpoint.service, endpoint.namespace) in own
        assert endpoint.port == port


def test_what_values_say_is_what_it_reads() -> None:
    profile, values = profile_of("full"), golden_values("full")
    assert (profile.namespace, profile.gateway, profile.metering) == ("edge", "models", "shadow")
    assert profile.max_body_bytes == values["extauth"]["maxBodyBytes"]
    assert profile.listeners[1] == Listener(name="internal", port=8080, plaintext=True)
    assert profile_of("minimal").namespace == NAMESPACE


def test_every_field_of_a_profile_can_be_said() -> None:
    spelled = {_camel(field): field for field in GatewayProfile.__struct_fields__}
    said = set(chart_doc.schema()["$defs"]["gatewayProfile"]["properties"])
    assert said == {name for name, field in spelled.items() if field not in OF_THE_CHART | NOT_IN_A_CLUSTER}


@pytest.mark.parametrize("name", GOLDEN)
def test_envoy_ends_a_request_before_a_stopping_extproc_gives_it_up(name: str) -> None:
    [container] = pods(manifests(name))["extproc"]["spec"]["containers"]
    [drain] = [int(one["value"]) for one in container["env"] if one["name"] == "IAS_DRAIN_S"]
    assert profile_of(name).max_stream_duration_s <= drain


def test_the_rate_limit_service_knows_the_limit_that_the_gateway_asks_for() -> None:
    [container] = pods(manifests("full"))["ratelimit"]["spec"]["containers"]
    [told] = [one["value"] for one in container["env"] if one["name"] == "IAS_RATE_LIMITS"]
    assert json.loads(told) == rate_limit_rules(profile_of("full"))
    assert json.loads(told)[0]["requests_per_unit"] == 1_000_000


# --- rights ---


@pytest.mark.parametrize("name", GOLDEN)
def test_the_api_has_every_right_over_what_is_rendered_and_no_other(name: str) -> None:
    """What it writes, by namespace, beside the lease, events, and engines to look at; no wildcard, no Secret, nothing that gives rights."""
    rights = rights_of(manifests(name))
    profile = profile_of(name)
    everywhere = {NAMESPACE, profile.namespace, *(one.certificate_namespace for one in profile.listeners if one.certificate_namespace)}
    expected = {"": rbac.cluster_rules(), "default": [rbac.EVENTS], **dict.fromkeys(everywhere, rbac.foreign_rules())}
    expected[profile.namespace] = rbac.namespace_rules()
    expected |= dict.fromkeys(golden_values(name)["gateway"].get("engineNamespaces", []), rbac.engine_rules())
    assert rights == {
        (namespace, group, resource): set(rule["verbs"])
        for namespace, rules in expected.items()
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_rendered_is_where_it_may_be_written(name: str) -> None:
    profile, rights = profile_of(name), rights_of(manifests(name))
    for one in (*render(ORDINARY, profile), *render(GatewayState((), ()), profile)):
        place = (one["metadata"].get("namespace", ""), *_resource(one["apiVersion"], one["kind"]))
        assert rights.get(place) == WRITE, place


@pytest.mark.parametrize("name", GOLDEN)
def test_rights_are_the_apis_alone(name: str) -> None:
    account = golden_values(name).get("api", {}).get("serviceAccount", {}).get("name") or f"{RELEASE}-api"
    subjects = [subject for one in manifests(name) if one["kind"].endswith("RoleBinding") for subject in one["subjects"]]
    assert subjects
    assert all(one == {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE} for one in subjects)


def rights_of(objects: list[Manifest]) -> dict[tuple[str, str, str], set[str]]:
    """Verbs by (namespace, group, resource) of each role that is bound; no namespace for what belongs to the cluster."""
    bound = {(one["roleRef"]["kind"], one["metadata"].get("namespace", ""), one["roleRef"]["name"]) for one in objects if "roleRef" in one}
    found: dict[tuple[str, str, str], set[str]] = {}
    for one in objects:
        namespace = one["metadata"].get("namespace", "")
        if one["kind"] in {"Role", "ClusterRole"} and (one["kind"], namespace, one["metadata"]["name"]) in bound:
            for rule in one["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        found.setdefault((namespace, group, resource), set()).update(rule["verbs"])
    return found


def _resource(api_version: str, kind: str) -> tuple[str, str]:
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith(("xy", "cy")) else f"{kind.lower()}es" if kind.endswith("s") else f"{kind.lower()}s"
    return api_version.partition("/")[0], plural


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def test_a_plural_is_as_the_crds_have_it() -> None:
    kinds: dict[str, Any] = {
        "EnvoyProxy": "envoyproxies",
        "GatewayClass": "gatewayclasses",
        "Gateway": "gateways",
        "SecurityPolicy": "securitypolicies",
    }
    assert {kind: _resource("g/v1", kind)[1] for kind in kinds} == kinds
