"""The cluster that policies of the chart are tried in: its pods, everybody they talk to, and strangers who resemble each of them."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from tests.support.chart import NAMESPACE, Manifest, pods
from tests.support.network_policy import NAMESPACE_LABEL, Network, Party, Port, matches, selects

PARTIES = (
    *("dns", "gateway", "apiClients", "registryClients", "monitoring"),
    *("kubernetesApi", "mail", "engines", "postgresql", "valkey", "kafka"),
)
ELSEWHERE = Port(22)
"""A port that nobody has a reason to reach."""

Edges = set[tuple[str, str, str]]


class Neighbourhood:
    """Built from what was rendered, before anything is broken in it."""

    def __init__(self, objects: list[Manifest], network: dict[str, Any]) -> None:
        self.policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
        self._addresses = (f"100.64.{number // 250}.{number % 250 + 1}" for number in count())
        self._own = [self._pod(name, NAMESPACE, template["metadata"]["labels"]) for name, template in pods(objects).items()]
        self._parties = [one for name in PARTIES for one in self._party(name, network[name])]
        # What closes a party is what closes it as the chart comes: a break must not hide what it opens.
        self.ours = {one.name for one in self._own}
        self.closed = {one.name for one in (*self._own, *self._parties) if any(selects(policy, one) for policy in self.policies)}
        strangers = [*self._resembling(), self._pod("stranger", "default", {}), Party("internet", "203.0.113.200"), self._newcomer()]
        self._network = Network([*self._own, *self._parties, *strangers], sorted({ELSEWHERE, *_ports_of(self.policies)}))

    def sent(self, policies: list[Manifest]) -> Edges:
        """What our pods may send, and to whom."""
        return {(source, target, _spell(port)) for source, target, port in self._network.sent(policies, self.ours)}

    def taken(self, policies: list[Manifest]) -> Edges:
        """What our pods, engines and databases take, and from whom."""
        return {(source, target, _spell(port)) for source, target, port in self._network.taken(policies, self.closed)}

    def _pod(self, name: str, namespace: str, labels: dict[str, str]) -> Party:
        return Party(name, next(self._addresses), namespace, labels)

    def _party(self, name: str, values: dict[str, Any]) -> Iterator[Party]:
        for number, one in enumerate(values["pods"]):
            yield self._pod(name if not number else f"{name}-{number}", one["namespace"], one.get("podLabels", {}))
        for number, block in enumerate(values["blocks"]):
            yield Party(f"{name}@{number}", block["cidr"].partition("/")[0])
            for excepted in block.get("except", ()):
                yield Party(f"not {name}@{number}", excepted.partition("/")[0])
        for number, client in enumerate(values.get("otherClients", ())):
            yield self._pod(f"client {number} of {name}", client["namespace"], client.get("podLabels", {}))

    def _resembling(self) -> Iterator[Party]:
        """For each selector of a policy: the same labels in another namespace, and in the same namespace each time one label less."""
        for selector, namespace in {(_frozen(one["matchLabels"]), space) for one, space in _selectors(self.policies) if one.get("matchLabels")}:
            labels = dict(selector)
            name = " ".join(sorted(labels.values()))
            yield self._pod(f"{name} of another namespace", "impostors", labels)
            for missing in labels:
                fewer = {key: value for key, value in labels.items() if key != missing}
                if not self._is_someone(namespace, fewer):
                    yield self._pod(f"{name} of {namespace} without {missing}", namespace, fewer)

    def _is_someone(self, namespace: str, labels: dict[str, str]) -> bool:
        """Whether some policy means this pod, too: then it is no stranger."""
        return any(space == namespace and matches(selector, labels) for selector, space in _selectors(self.policies))

    def _newcomer(self) -> Party:
        """A pod of the release that no policy of its own is about, such as one of a later version."""
        [deny] = [policy for policy in self.policies if policy["metadata"]["name"].endswith("default-deny")]
        one = self._pod("newcomer", NAMESPACE, {**deny["spec"]["podSelector"]["matchLabels"], "app.kubernetes.io/component": "new"})
        self.ours.add(one.name)
        self.closed.add(one.name)
        return one


def _frozen(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _spell(port: Port) -> str:
    return f"{port.number}/udp" if port.protocol == "UDP" else str(port.number)


def peers_of(policies: Iterable[Manifest]) -> Iterator[tuple[Manifest, Manifest, Manifest]]:
    """Each policy with each rule and each peer of it."""
    for policy in policies:
        for section, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(section, ()):
                for peer in rule.get(side, ()):
                    yield policy, rule, peer


def _selectors(policies: Iterable[Manifest]) -> Iterator[tuple[Manifest, str]]:
    policies = list(policies)
    yield from ((policy["spec"]["podSelector"], policy["metadata"]["namespace"]) for policy in policies)
    for policy, _, peer in peers_of(policies):
        if "podSelector" in peer:
            space = peer.get("namespaceSelector", {}).get("matchLabels", {})
            yield peer["podSelector"], space.get(NAMESPACE_LABEL, policy["metadata"]["namespace"])


def _ports_of(policies: Iterable[Manifest]) -> Iterator[Port]:
    for _, rule, _ in peers_of(policies):
        yield from (Port(one["port"], one["protocol"]) for one in rule.get("ports", ()))
