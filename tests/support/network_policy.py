"""What NetworkPolicies let through, by the semantics of https://kubernetes.io/docs/concepts/services-networking/network-policies/.

A pod that some policy selects takes (Ingress) or sends (Egress) only what a rule of such a policy allows; any other pod everything. An edge is open
when both of its sides allow it.
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

Manifest = Mapping[str, Any]
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Party:
    """A pod, or, without a namespace, an address outside of the cluster."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


class Port(NamedTuple):
    """A port of the receiving side."""

    number: int
    protocol: str = "TCP"


Edge = tuple[str, str, Port]
"""From, to, port."""


class Network:
    """Parties and ports, and what policies let through among them."""

    def __init__(self, parties: Collection[Party], ports: Collection[Port]) -> None:
        self._parties = parties
        self._ports = ports

    def open_edges(self, policies: Collection[Manifest]) -> set[Edge]:
        """What both sides allow."""
        everybody = {party.name for party in self._parties}
        return self.sent(policies, everybody) & self.taken(policies, everybody)

    def sent(self, policies: Collection[Manifest], sources: Collection[str]) -> set[Edge]:
        """What these parties may send, whether or not the other side takes it."""
        return {(here, there, port) for here, there, port in self._allowed(policies, sources, "Egress")}

    def taken(self, policies: Collection[Manifest], targets: Collection[str]) -> set[Edge]:
        """What these parties take, whether or not the other side may send it."""
        return {(there, here, port) for here, there, port in self._allowed(policies, targets, "Ingress")}

    def _allowed(self, policies: Collection[Manifest], names: Collection[str], direction: str) -> Iterator[Edge]:
        section, side = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        relevant = [policy for policy in policies if direction in _types(policy)]
        by_policy = {id(policy): self._by_rules(policy, section, side) for policy in relevant}
        everything = {(party.name, port) for party in self._parties for port in self._ports}
        for here in self._parties:
            if here.name in names:
                about = [by_policy[id(policy)] for policy in relevant if selects(policy, here)]
                yield from ((here.name, there, port) for there, port in (set().union(*about) if about else everything))

    def _by_rules(self, policy: Manifest, section: str, side: str) -> set[tuple[str, Port]]:
        found = set()
        for rule in policy["spec"].get(section) or ():
            peers, numbers = rule.get(side), rule.get("ports")
            through = [port for port in self._ports if not numbers or any(_is_port(one, port) for one in numbers)]
            for party in self._parties:
                if not peers or any(_is_peer(peer, party, policy["metadata"]["namespace"]) for peer in peers):
                    found.update((party.name, port) for port in through)
        return found


def isolated(policies: Iterable[Manifest], party: Party, direction: str) -> bool:
    """Whether some policy selects it for this direction: then what no rule allows is closed."""
    return any(direction in _types(policy) and selects(policy, party) for policy in policies)


def selects(policy: Manifest, party: Party) -> bool:
    """Whether the policy is about this pod."""
    return bool(party.namespace) and policy["metadata"]["namespace"] == party.namespace and matches(policy["spec"]["podSelector"], party.labels)


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """A label selector; an empty one matches everything."""
    exact = all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
    return exact and all(_expression(one, labels) for one in selector.get("matchExpressions") or ())


def _expression(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"unknown operator {expression['operator']}")


def _types(policy: Manifest) -> Collection[str]:
    spec = policy["spec"]
    return spec.get("policyTypes") or ("Ingress", *(["Egress"] if "egress" in spec else []))


def _is_port(rule: Manifest, port: Port) -> bool:
    if rule.get("protocol", "TCP") != port.protocol:
        return False
    if (first := rule.get("port")) is None:
        return True
    return first <= port.number <= rule.get("endPort", first)


def _is_peer(peer: Manifest, party: Party, own_namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        return _is_within(party.address, block["cidr"]) and not any(_is_within(party.address, one) for one in block.get("except") or ())
    if not party.namespace:
        return False
    spaces = peer.get("namespaceSelector")
    in_namespace = party.namespace == own_namespace if spaces is None else matches(spaces, {NAMESPACE_LABEL: party.namespace})
    return in_namespace and matches(peer.get("podSelector") or {}, party.labels)


@functools.cache
def _is_within(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)
