"""What `ias gateway diff` shows."""

from controlplane.kubernetes.changes import changes, stamped
from controlplane.kubernetes.difference import difference

BACKEND = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "Backend",
    "metadata": {"name": "gpu", "namespace": "ias"},
    "spec": {"endpoints": [{"ip": {"address": "10.0.0.1", "port": 8000}}]},
}


def shown(desired: list[dict[str, object]], live: list[dict[str, object]]) -> list[str]:
    return list(difference(changes(desired, live), live))


def test_nothing_is_shown_of_what_is_as_it_should_be() -> None:
    assert shown([BACKEND], [stamped(BACKEND)]) == []


def test_a_changed_field_beside_what_is_there() -> None:
    live = stamped({**BACKEND, "spec": {"endpoints": [{"ip": {"address": "10.0.0.2", "port": 8000}}]}})
    lines = shown([BACKEND], [live])
    assert lines[:2] == ["--- live/Backend ias/gpu", "+++ wanted/Backend ias/gpu"]
    assert [line for line in lines[2:] if line.startswith(("+", "-"))] == ["-      address: 10.0.0.2", "+      address: 10.0.0.1"]


def test_what_is_new_and_what_goes() -> None:
    assert shown([BACKEND], [])[0] == "--- /dev/null"
    assert shown([], [stamped(BACKEND)]) == ["- Backend ias/gpu: deleted"]


def test_a_field_that_is_no_longer_wanted() -> None:
    less = {**BACKEND, "spec": {}}
    assert shown([less], [stamped(BACKEND)]) == ["  Backend ias/gpu: fields that are no longer wanted go"]
