"""What controllers say, as they say it (Envoy Gateway 1.9.0), and what that means for a publication."""

from typing import Any

import pytest

from controlplane.kubernetes.conditions import ACCEPTED, Standing, State, standing_of, standings
from controlplane.kubernetes.labels import MODEL
from controlplane.kubernetes.objects import key_of

OURS = "gateway.envoyproxy.io/gatewayclass-controller"


def condition(kind: str, status: str = "True", reason: str = "Accepted", generation: int = 2) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": "m", "observedGeneration": generation}


def route(*conditions: dict[str, Any], controller: str = OURS, model: str = "chat", name: str = "r") -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "ias", "generation": 2, "annotations": {MODEL: model}},
        "status": {"parents": [{"controllerName": controller, "conditions": list(conditions)}]} if conditions else {},
    }


def policy(*conditions: dict[str, Any]) -> dict[str, Any]:
    made = route()
    return {**made, "kind": "SecurityPolicy", "status": {"ancestors": [{"controllerName": OURS, "conditions": list(conditions)}]}}


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (route(condition("Accepted"), condition("ResolvedRefs")), State.ACCEPTED),
        (route(condition("Accepted"), condition("ResolvedRefs", "False", "BackendNotFound")), State.WAITING),
        (route(condition("Accepted", "False", "NotAllowedByListeners")), State.REFUSED),
        (route(condition("Accepted", "Unknown", "Pending")), State.WAITING),
        (route(), State.UNSEEN),
        (route(condition("Accepted", generation=1)), State.UNSEEN),
        (route(condition("Accepted"), controller="another.example/controller"), State.UNSEEN),
        (policy(condition("Accepted", "False", "Invalid")), State.WAITING),
        (policy(condition("Accepted", "False", "Conflicted")), State.REFUSED),
        (policy(condition("Accepted"), condition("Programmed", "False", "ResourceNotFound")), State.WAITING),
        (policy(condition("Accepted"), condition("Overridden", "True", "Overridden")), State.ACCEPTED),
        # What can still come: an address of a cloud, pods, an EnvoyProxy, a Service with its endpoints, a route of a policy.
        ({**route(), "kind": "Gateway", "status": {"conditions": [condition("Programmed", "False", "AddressNotAssigned")]}}, State.WAITING),
        ({**route(), "kind": "Gateway", "status": {"conditions": [condition("Programmed", "False", "NoResources")]}}, State.WAITING),
        ({**route(), "kind": "Gateway", "status": {"conditions": [condition("Accepted", "False", "InvalidParameters")]}}, State.WAITING),
        (route(condition("ResolvedRefs", "False", "EndpointsNotFound")), State.WAITING),
        (policy(condition("Accepted", "False", "TargetNotFound")), State.WAITING),
        ({**route(), "kind": "ReferenceGrant"}, State.ACCEPTED),
        ({**route(), "kind": "Backend"}, State.ACCEPTED),
        ({**route(), "kind": "Backend", "status": {"conditions": [condition("Accepted", "False", "Invalid")]}}, State.WAITING),
    ],
)
def test_conditions(live: dict[str, Any], state: State) -> None:
    standing = standing_of(live, OURS)
    assert standing.state is state
    assert (standing.reason == "") is (state is State.ACCEPTED)


def test_that_nobody_has_said_anything_is_said() -> None:
    assert "HTTPRoute ias/r: no controller has said anything of it yet" in standing_of(route(), OURS).reason
    assert "of its newest version" in standing_of(route(condition("Accepted", generation=1)), OURS).reason


def test_a_model_stands_as_its_worst_object_does_and_problems_go_before_conditions() -> None:
    fine, waiting = route(condition("Accepted"), name="a"), route(condition("Accepted", "False", "Pending"), name="b")
    other = route(condition("Accepted"), model="qwen", name="c")
    assert {model: standing.state for model, standing in standings([fine, waiting, other], {}, OURS).items()} == {
        "chat": State.WAITING,
        "qwen": State.ACCEPTED,
    }
    conflict = Standing(State.CONFLICT, "kubectl-edit")
    assert standings([other], {key_of(other): conflict}, OURS) == {"qwen": conflict}
    assert standings([other], {}, OURS) == {"qwen": ACCEPTED}
