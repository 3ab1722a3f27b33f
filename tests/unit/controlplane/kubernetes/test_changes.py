"""Desired and live, as pairs: what is written, what goes, and what is left alone."""

import copy
from typing import Any

from controlplane.kubernetes.changes import DIGEST, changes, stamped
from controlplane.kubernetes.labels import MODEL, SERVICE
from controlplane.kubernetes.objects import key_of, rank_of

ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "chat", "namespace": "ias", "labels": {"a": "b"}},
    "spec": {"rules": [{"matches": [{"path": {"value": "/"}}]}]},
}
BACKEND = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "Backend",
    "metadata": {"name": "gpu", "namespace": "ias"},
    "spec": {"endpoints": []},
}
POLICY = {**BACKEND, "kind": "SecurityPolicy"}


def live(manifest: dict[str, Any]) -> dict[str, Any]:
    """As a server gives it back: with what it and others have added."""
    found = copy.deepcopy(stamped(manifest))
    found["metadata"] |= {"uid": "1", "resourceVersion": "7", "generation": 1}
    found["metadata"]["annotations"]["team"] = "search"
    found["status"] = {"conditions": []}
    return found


def test_what_is_there_needs_no_write() -> None:
    found = live(ROUTE)
    found["spec"]["rules"][0]["matches"][0]["path"]["type"] = "PathPrefix"  # a default
    assert not changes([ROUTE], [found])


def test_what_is_missing_changed_or_cut_is_written() -> None:
    changed, cut, longer = live(ROUTE), live(ROUTE), live(ROUTE)
    changed["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/other"
    del cut["spec"]["rules"]
    longer["spec"]["rules"].append({})
    for found in ([], [changed], [cut], [longer]):
        assert changes([ROUTE], found).apply == (stamped(ROUTE),)


def test_what_we_no_longer_say_is_written_too() -> None:
    less = {**ROUTE, "spec": {}}
    assert changes([less], [live(ROUTE)]).apply == (stamped(less),)


def test_routes_come_last_and_go_first() -> None:
    wanted = changes([ROUTE, BACKEND, POLICY], [])
    assert [manifest["kind"] for manifest in wanted.apply] == ["SecurityPolicy", "Backend", "HTTPRoute"]
    unwanted = changes([], [live(manifest) for manifest in (POLICY, ROUTE, BACKEND)])
    assert [manifest["kind"] for manifest in unwanted.delete] == ["HTTPRoute", "Backend", "SecurityPolicy"]


def test_a_policy_of_one_model_waits_for_nobody_but_its_route() -> None:
    own = {**POLICY, "kind": "BackendTrafficPolicy", "metadata": {**POLICY["metadata"], "annotations": {MODEL: "chat"}}}
    assert [rank_of(manifest) for manifest in (POLICY, BACKEND, ROUTE, own)] == [0, 1, 2, 2]


def test_a_service_of_ours_is_there_with_the_policies_that_refer_to_it() -> None:
    """Written after them, it would keep them invalid, and everybody waiting, until the time to confirm is over."""
    assert rank_of({**BACKEND, "metadata": {**BACKEND["metadata"], "annotations": {SERVICE: "extauth"}}}) == rank_of(POLICY)


def test_a_portion_deletes_nothing_before_all_is_written() -> None:
    """What takes the place of a route must be there before it goes."""
    whole = changes([BACKEND, POLICY], [live(ROUTE)])
    part = whole.first(1)
    assert ([key_of(one) for one in part.apply], part.delete) == ([key_of(POLICY)], ())
    assert [whole.first(count) for count in (2, None)] == [whole, whole]
    assert whole.delete


def test_what_goes_already_is_not_deleted_again() -> None:
    going = live(ROUTE)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not changes([], [going])


def test_a_stamp_changes_with_the_manifest_and_leaves_it_as_it_was() -> None:
    before = copy.deepcopy(ROUTE)
    other = stamped({**ROUTE, "spec": {}})["metadata"]["annotations"][DIGEST]
    assert stamped(ROUTE)["metadata"]["annotations"][DIGEST] != other
    assert before == ROUTE
    assert str(key_of(ROUTE)) == "HTTPRoute ias/chat"
