"""Requirement 7.1: engines take traffic from the gateway, databases from the services that own what is in them, and every path that is not in
these tables is closed."""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import helm_python
import pytest

from tests.support.chart import CHART, NAMESPACE, Manifest, golden_values, manifests
from tests.support.network_policy import NAMESPACE_LABEL
from tests.unit.chart.neighbours import Edges, Neighbourhood, peers_of

MINIMAL = """
gateway     → extauth 9001, extproc 9002, engines 8000
apiClients  → api 8085
api         → dns 53 53/udp, postgresql 5432, valkey 6379, engines 8000, gateway 10443, kubernetesApi@0 443 6443
worker      → dns 53 53/udp, postgresql 5432, valkey 6379, engines 8000, kafka 9092
registry    → dns 53 53/udp, postgresql 5432
extauth     → dns 53 53/udp, postgresql 5432, valkey 6379, kafka 9092
extproc     → dns 53 53/udp, valkey 6379, kafka 9092
migrate     → dns 53 53/udp, postgresql 5432
postgresql  → postgresql *
valkey      → valkey *
kafka       → kafka *
"""

# Two namespaces of engines that talk among themselves and are not probed; a database outside of the cluster, a broker that others protect.
FULL = """
gateway     → extauth 9001, extproc 9002, ratelimit 9004, engines 8000 8080, engines-1 8000 8080
apiClients@0      → api 8085
registryClients   → registry 9003
monitoring  → api 9090, worker 9090, registry 9090, extauth 9090, extproc 9090, ratelimit 9090
api         → dns 53 53/udp, dns@0 53 53/udp, postgresql@0 5432, valkey 6380, gateway 8443, mail@0 465
api         → kubernetesApi@0 443 6443, kubernetesApi@1 443 6443
worker      → dns 53 53/udp, dns@0 53 53/udp, postgresql@0 5432, valkey 6380, kafka 9093
registry    → dns 53 53/udp, dns@0 53 53/udp, postgresql@0 5432
extauth     → dns 53 53/udp, dns@0 53 53/udp, postgresql@0 5432, valkey 6380, kafka 9093
extproc     → dns 53 53/udp, dns@0 53 53/udp, valkey 6380, kafka 9093
ratelimit   → dns 53 53/udp, dns@0 53 53/udp, valkey 6380
migrate     → dns 53 53/udp, dns@0 53 53/udp, postgresql@0 5432
engines     → engines *, engines-1 *
engines-1   → engines *, engines-1 *
valkey      → valkey *
client 0 of engines → engines 8080, engines-1 8080
client 0 of valkey  → valkey 6380
"""

# Databases outside of the cluster, no registry, and a gateway in a namespace of its own.
AIGATEWAY = """
gateway     → extauth 9001, extproc 9002, engines 8000
apiClients  → api 8085
api         → dns 53 53/udp, postgresql@0 5432, valkey@0 6379, engines 8000, engines@0 8000, gateway 10443 8443, kubernetesApi@0 443 6443
worker      → dns 53 53/udp, postgresql@0 5432, valkey@0 6379, engines 8000, engines@0 8000, kafka@0 9092
extauth     → dns 53 53/udp, postgresql@0 5432, valkey@0 6379, kafka@0 9092
extproc     → dns 53 53/udp, valkey@0 6379, kafka@0 9092
migrate     → dns 53 53/udp, postgresql@0 5432
"""

TABLES = {"minimal": MINIMAL, "full": FULL, "aigateway": AIGATEWAY}
GATEWAYS = {"minimal": ("ias", NAMESPACE), "aigateway": ("ias", "gateway")}
"""Name and namespace of the Gateway where Envoy's pods are not named: they have the labels that Envoy Gateway gives them."""


@functools.cache
def neighbourhood(name: str) -> Neighbourhood:
    with helm_python.Chart.load(CHART) as chart:
        network = chart.merge_values(golden_values(name))["networkPolicy"]
    if name in GATEWAYS:
        owner = dict(zip(("owning-gateway-name", "owning-gateway-namespace"), GATEWAYS[name], strict=True))
        labels = {f"gateway.envoyproxy.io/{key}": value for key, value in owner.items()}
        envoys = {"app.kubernetes.io/name": "envoy", "app.kubernetes.io/managed-by": "envoy-gateway", **labels}
        network["gateway"]["pods"] = [{"namespace": "envoy-gateway-system", "podLabels": envoys}]
    return Neighbourhood(manifests(name), network)


@functools.cache
def allowed(name: str) -> Edges:
    """The table as edges; `*` stands for every port of the neighbourhood."""
    every = {port for _, _, port in neighbourhood(name).sent([])}
    found = set()
    for line in TABLES[name].strip().splitlines():
        source, targets = (part.strip() for part in line.split("→"))
        for words in targets.split(","):
            target, *ports = words.split()
            found |= {(source, target, port) for port in (every if ports == ["*"] else ports)}
    return found


# Each side closes an edge by itself: whoever breaks out of one policy meets the other.
@pytest.mark.parametrize("name", TABLES)
def test_our_pods_send_what_the_table_allows_and_nothing_else(name: str) -> None:
    here = neighbourhood(name)
    assert here.sent(here.policies) == {edge for edge in allowed(name) if edge[0] in here.ours}


@pytest.mark.parametrize("name", TABLES)
def test_our_pods_engines_and_databases_take_what_the_table_allows_and_nothing_else(name: str) -> None:
    here = neighbourhood(name)
    assert here.taken(here.policies) == {edge for edge in allowed(name) if edge[1] in here.closed}


def test_the_letter_of_the_requirement() -> None:
    """With `probes: false` nobody of ours but Envoy reaches an engine."""
    here = neighbourhood("full")
    edges = here.taken(here.policies)
    assert {source for source, target, _ in edges if target == "engines"} == {"gateway", "engines", "engines-1", "client 0 of engines"}


# --- breaks that must be noticed ---

Break = Callable[[list[Manifest]], None]


def removed(index: int) -> Break:
    def change(policies: list[Manifest]) -> None:
        del policies[index]

    return change


def at_peer(index: int, change: Callable[[Manifest, Manifest, Manifest], Any]) -> Break:
    return lambda policies: change(*list(peers_of(policies))[index])


def fewer_labels(label: str) -> Callable[[Manifest, Manifest, Manifest], Any]:
    return lambda _, __, peer: peer["podSelector"]["matchLabels"].pop(label)


def breaks(name: str) -> Iterator[tuple[str, Break]]:
    policies = neighbourhood(name).policies
    for index, policy in enumerate(policies):
        yield f"{policy['metadata']['name']} is removed", removed(index)
        for kind in policy["spec"]["policyTypes"]:
            if kind.lower() in policy["spec"] or "default-deny" in policy["metadata"]["name"]:
                yield f"{policy['metadata']['name']} is not about {kind}", at_policy(index, kind)
    for index, (policy, rule, peer) in enumerate(peers_of(policies)):
        where = f"{policy['metadata']['name']}, peer {index}"
        yield f"{where}: everybody", at_peer(index, lambda _, __, peer: peer.clear() or peer.update(ipBlock={"cidr": "0.0.0.0/0"}))
        yield f"{where}: nobody", at_peer(index, lambda _, __, peer: peer.clear() or peer.update(podSelector={"matchLabels": {"no": "one"}}))
        if "ports" in rule:
            yield f"{where}: every port", at_peer(index, lambda _, rule, __: rule.pop("ports"))
        if "ipBlock" in peer:
            continue
        yield f"{where}: every namespace", at_peer(index, lambda _, __, peer: peer.update(namespaceSelector={}))
        if peer["namespaceSelector"]["matchLabels"][NAMESPACE_LABEL] != policy["metadata"]["namespace"]:
            yield f"{where}: the own namespace", at_peer(index, lambda _, __, peer: peer.pop("namespaceSelector"))
        for label in peer["podSelector"].get("matchLabels", {}):
            yield f"{where}: without {label}", at_peer(index, fewer_labels(label))


def at_policy(index: int, kind: str) -> Break:
    return lambda policies: policies[index]["spec"]["policyTypes"].remove(kind) or policies[index]["spec"].pop(kind.lower(), None)


def unnoticed(name: str) -> list[str]:
    here, found = neighbourhood(name), []
    right = here.sent(here.policies), here.taken(here.policies)
    for about, change in breaks(name):
        policies = copy.deepcopy(here.policies)
        change(policies)
        if (here.sent(policies), here.taken(policies)) == right:
            found.append(about)
    return found


@pytest.mark.parametrize("name", TABLES)
def test_no_break_of_a_policy_goes_unnoticed(name: str) -> None:
    """Each policy removed, each rule widened and narrowed: what is open changes, so a test above is red."""
    assert len(list(breaks(name))) > 100
    assert unnoticed(name) == []
