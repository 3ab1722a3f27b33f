"""From a desired state to Envoy's clusters and routes: pure, deterministic, and one lookup whatever the number of models."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.gateway.clusters import GatewayFiles, cluster_name
from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayState, GatewayTarget, GatewayTraffic
from controlplane.gateway.render import Resources, render, resources, without_engines
from tests.support.golden import assert_golden

FILES = GatewayFiles("/etc/ssl/certs/ca-certificates.crt", Path("/var/lib/gateway/secrets"))
LOCAL = GatewayBackend("local", "http://127.0.0.1:8000")
NAMED = GatewayBackend("named", "https://engine.example.org")
STATE = GatewayState(
    (LOCAL, NAMED), (GatewayRoute.to_one("org/a:1.0", "local"), GatewayRoute.to_one("b", "named"), GatewayRoute.to_one("ü", "local"))
)


def pretty(content: Resources) -> str:
    return json.dumps(json.loads(content.to_json()), indent=1, ensure_ascii=False) + "\n"


def cluster(base_url: str) -> Any:
    return render(GatewayState((GatewayBackend("b", base_url),)), FILES)[0].resources[0]


def test_rendered_resources_are_as_on_file() -> None:
    clusters, routes = render(STATE, FILES)
    assert_golden("gateway/clusters.json", pretty(clusters))
    assert_golden("gateway/routes.json", pretty(routes))
    assert_golden("gateway/routes-empty.json", pretty(render(GatewayState(), FILES)[1]))


def test_order_does_not_matter() -> None:
    turned = GatewayState(STATE.backends[::-1], STATE.routes[::-1])
    assert [part.to_json() for part in render(turned, FILES)] == [part.to_json() for part in render(STATE, FILES)]


def test_the_version_changes_with_the_content_only() -> None:
    clusters, routes = render(STATE, FILES)
    more = render(GatewayState(STATE.backends, (*STATE.routes, GatewayRoute.to_one("c", "local"))), FILES)
    assert (more[0].version == clusters.version, more[1].version == routes.version) == (True, False)
    assert resources([{"name": "x"}, {"name": "a"}]).version == resources([{"name": "a"}, {"name": "x"}]).version


def test_every_model_is_one_entry_of_one_map() -> None:
    [configuration] = render(GatewayState((LOCAL,), tuple(GatewayRoute.to_one(f"m{n}", "local") for n in range(100))), FILES)[1].resources
    [host] = configuration["virtual_hosts"]
    assert len(host["matcher"]["matcher_tree"]["exact_match_map"]["map"]) == 100
    assert "routes" not in host


def test_an_engine_that_moves_gets_a_new_cluster() -> None:
    assert cluster_name(LOCAL) == cluster_name(GatewayBackend("local", LOCAL.base_url))
    assert cluster_name(LOCAL) != cluster_name(GatewayBackend("local", "http://127.0.0.1:8001"))


def pool(*targets: GatewayTarget, **traffic: int) -> Any:
    route = GatewayRoute("m", targets, GatewayTraffic(**traffic))
    clusters = render(GatewayState(STATE.backends, (route,)), FILES)[0].resources
    return next(item for item in clusters if item["name"].startswith("pool-"))


def test_a_model_with_limits_of_its_own_shares_no_cluster() -> None:
    own = pool(GatewayTarget("local"), max_requests=3, connect_timeout_ms=250)
    assert own["circuit_breakers"]["thresholds"][0]["max_requests"] == 3
    assert own["connect_timeout"] == "0.25s"
    assert "health_checks" not in own, "where there is no other engine, an answer from a sick one is better than none"


def test_priorities_are_put_in_a_row_as_envoy_wants_them() -> None:
    localities = pool(GatewayTarget("named", priority=9), GatewayTarget("local", priority=2))["load_assignment"]["endpoints"]
    assert [(one["locality"]["region"], one["priority"]) for one in localities] == [("local", 0), ("named", 1)]


def test_a_pool_that_changes_is_a_new_cluster() -> None:
    names = {pool(GatewayTarget("local", weight), GatewayTarget("named"))["name"] for weight in (1, 2)}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("base_url", "kind", "address", "port"),
    [
        ("http://127.0.0.1:8000", "STATIC", "127.0.0.1", 8000),
        ("http://[::1]:8000", "STATIC", "::1", 8000),
        ("http://engine", "STRICT_DNS", "engine", 80),
        ("https://engine", "STRICT_DNS", "engine", 443),
    ],
)
def test_addresses(base_url: str, kind: str, address: str, port: int) -> None:
    rendered = cluster(base_url)
    [endpoint] = rendered["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert rendered["type"] == kind
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": address, "port_value": port}


def test_https_checks_the_name_of_the_engine_against_the_given_ca() -> None:
    tls = cluster("https://engine.example.org")["transport_socket"]["typed_config"]
    assert tls["sni"] == "engine.example.org"
    assert tls["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"filename": FILES.trusted_ca},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "engine.example.org"}}],
    }
    by_address = cluster("https://10.0.0.1")["transport_socket"]["typed_config"]
    assert "sni" not in by_address
    assert by_address["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"][0]["san_type"] == "IP_ADDRESS"
    assert "transport_socket" not in cluster("http://engine")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (GatewayState((), (GatewayRoute.to_one("m", "missing"),)), "'missing', which is not there"),
        (GatewayState((LOCAL,), (GatewayRoute.to_one("m", "local"), GatewayRoute.to_one("m", "local"))), "'m' has two routes"),
        (GatewayState((LOCAL, GatewayBackend("local", "http://other"))), "same id"),
        (GatewayState((GatewayBackend("b", "ftp://engine"),)), "http\\(s\\)://host:port"),
        (GatewayState((GatewayBackend("b", "engine:8000"),)), "http\\(s\\)://host:port"),
    ],
)
def test_states_that_make_no_sense_are_refused(state: GatewayState, reason: str) -> None:
    with pytest.raises(GatewayRejected, match=reason):
        render(state, FILES)


def test_a_cluster_names_a_credential_and_never_holds_one() -> None:
    keyed = GatewayBackend("keyed", "http://127.0.0.1:8001", credential="vllm")
    route = GatewayRoute("m", (GatewayTarget("keyed"), GatewayTarget("local")))
    clusters, _ = render(GatewayState((keyed, LOCAL), (route,)), FILES)
    assert_golden("gateway/clusters-credentials.json", pretty(clusters))


def test_another_credential_is_a_new_cluster() -> None:
    names = {cluster_name(GatewayBackend("b", "http://b", credential=name)) for name in ("", "one", "two")}
    assert len(names) == 3


def test_a_model_whose_only_engine_is_left_out_answers_503() -> None:
    route = GatewayRoute("m", (GatewayTarget("local"), GatewayTarget("named", priority=1)))
    both, one, none = (without_engines(GatewayState(STATE.backends, (route,)), ids) for ids in ((), ("named",), ("named", "local")))
    assert both.routes == (route,)
    assert [target.backend_id for target in one.routes[0].targets] == ["local"]
    [configuration] = render(none, FILES)[1].resources
    [model] = configuration["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"]["map"].values()
    assert model["action"]["typed_config"]["direct_response"] == {"status": 503}
