"""The evaluator that judges the chart's policies, by the examples and rules of Kubernetes' own documentation."""

from typing import Any

import pytest

from tests.support.network_policy import Network, Party, Port, isolated

WEB = Party("web", "10.1.0.1", "shop", {"app": "web"})
DB = Party("db", "10.1.0.2", "shop", {"app": "db"})
SPY = Party("spy", "10.1.0.3", "other", {"app": "web"})
OUTSIDE = Party("outside", "203.0.113.9")
SQL = Port(5432)
NETWORK = Network([WEB, DB, SPY, OUTSIDE], [SQL, Port(53, "UDP")])


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop"}, "spec": {"podSelector": selector, **spec}}


def to_db(*policies: dict[str, Any], port: Port = SQL) -> set[str]:
    return {source for source, target, number in NETWORK.open_edges(policies) if target == "db" and number == port}


DB_ONLY = {"matchLabels": {"app": "db"}}
ALL = {"web", "db", "spy", "outside"}


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ({}, set()),
        ({"ingress": []}, set()),
        ({"ingress": [{}]}, ALL),
        ({"ingress": [{"from": []}]}, ALL),  # an empty list is everybody: the trap of templates
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, {"web", "db"}),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}, {"web"}),
        ({"ingress": [{"from": [{"namespaceSelector": {}}]}]}, {"web", "db", "spy"}),
        ({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}]}]}, {"spy"}),
        ({"ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}]}, {"web", "spy"}),
        ({"ingress": [{"from": [{"namespaceSelector": {}}, {"podSelector": {}}]}]}, {"web", "db", "spy"}),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}, {"outside"}),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/31"]}}]}]}, set()),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]}, {"web", "db", "spy"}),
        ({"ingress": [{"ports": [{"port": 5432}]}]}, ALL),
        ({"ingress": [{"ports": [{"port": 5432, "protocol": "UDP"}]}]}, set()),
        ({"ingress": [{"ports": [{"protocol": "TCP"}]}]}, ALL),
        ({"ingress": [{"ports": [{"port": 5000, "endPort": 6000}]}]}, ALL),
        ({"ingress": [{"ports": [{"port": 5433}]}]}, set()),
        ({"policyTypes": ["Egress"]}, ALL - {"db"}),  # it takes everything, and sends nothing, to itself neither
    ],
)
def test_what_a_policy_lets_in(rules: dict[str, Any], passes: set[str]) -> None:
    assert to_db(policy(DB_ONLY, **rules)) == passes


def test_policies_add_up_and_never_take_away() -> None:
    web = policy(DB_ONLY, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])
    outside = policy(DB_ONLY, ingress=[{"from": [{"ipBlock": {"cidr": "203.0.113.9/32"}}]}])
    assert to_db(policy({}), web, outside) == {"web", "outside"}


def test_both_sides_must_allow_an_edge() -> None:
    takes = policy(DB_ONLY, ingress=[{"from": [{"podSelector": {}}]}])
    sends = policy({"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=[{"to": [{"podSelector": DB_ONLY}], "ports": [{"port": 5432}]}])
    silent = policy({"matchLabels": {"app": "web"}}, policyTypes=["Egress"])
    assert "web" in to_db(takes, sends)
    assert "web" not in to_db(takes, silent)
    assert "web" not in to_db(takes, sends, port=Port(53, "UDP"))


def test_a_policy_is_about_pods_of_its_namespace_alone() -> None:
    everything = policy({})
    assert isolated([everything], WEB, "Ingress")
    assert not isolated([everything], WEB, "Egress")
    assert not isolated([everything], SPY, "Ingress")
    assert not isolated([everything], OUTSIDE, "Ingress")


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ({"key": "app", "operator": "In", "values": ["db"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["db"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_of_selectors(expression: dict[str, Any], found: bool) -> None:
    assert isolated([policy({"matchExpressions": [expression]})], DB, "Ingress") is found
