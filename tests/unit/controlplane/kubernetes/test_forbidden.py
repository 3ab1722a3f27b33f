"""Manifests that would open the gateway are refused, whoever made them."""

from typing import Any

import pytest

from controlplane.kubernetes.forbidden import Forbidden, refuse_forbidden
from controlplane.kubernetes.render.rendering import render
from tests.support.gateway_profiles import ORDINARY, profile

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ias"}
ROUTE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "model"}


def policy(kind: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"namespace": "ias", "name": "own"}, "spec": spec}


@pytest.mark.parametrize("kind", ["SecurityPolicy", "EnvoyExtensionPolicy"])
@pytest.mark.parametrize(
    "target",
    [{"targetRef": ROUTE}, {"targetRefs": [GATEWAY, ROUTE]}, {"targetSelectors": [{"kind": "GRPCRoute", "matchLabels": {}}]}],
    ids=["targetRef", "targetRefs", "targetSelectors"],
)
def test_authorization_and_metering_are_never_on_a_route(kind: str, target: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match=rf"^{kind} ias/own targets (HTTPRoute|GRPCRoute): .*Target the Gateway$"):
        refuse_forbidden([policy(kind, **target)])


def test_answers_are_not_overridden_on_the_gateway() -> None:
    with pytest.raises(Forbidden, match="responseOverride on a Gateway"):
        refuse_forbidden([policy("BackendTrafficPolicy", targetRefs=[GATEWAY], responseOverride=[{}])])
    refuse_forbidden([policy("BackendTrafficPolicy", targetRefs=[ROUTE], responseOverride=[{}])])


def test_all_reasons_are_told_at_once() -> None:
    with pytest.raises(Forbidden, match=r"SecurityPolicy.*; EnvoyExtensionPolicy"):
        refuse_forbidden([policy(kind, targetRef=ROUTE) for kind in ("SecurityPolicy", "EnvoyExtensionPolicy")])


def test_our_own_manifests_may_be_applied() -> None:
    for chosen in (profile(), profile(profile="aigateway"), profile(metering="shadow")):
        refuse_forbidden(render(ORDINARY, chosen))
