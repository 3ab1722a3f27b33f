"""Events tell what changed, once."""

from controlplane.kubernetes.conditions import ACCEPTED, Standing, State
from controlplane.kubernetes.events import events_between
from controlplane.kubernetes.objects import Key

KEY = Key("gateway.networking.k8s.io/v1", "HTTPRoute", "ias", "chat")
CONFLICT, WAITING = Standing(State.CONFLICT, "kubectl-edit"), Standing(State.WAITING, "not yet")


def reasons(before: Standing | None, now: Standing) -> list[str]:
    return [event.reason for event in events_between({} if before is None else {KEY: before}, {KEY: now})]


def test_a_conflict_is_told_once_and_its_end_too() -> None:
    assert reasons(None, CONFLICT) == reasons(ACCEPTED, CONFLICT) == ["Conflict"]
    assert reasons(CONFLICT, CONFLICT) == []
    assert reasons(CONFLICT, ACCEPTED) == ["Accepted"]


def test_what_is_ordinary_is_not_told() -> None:
    assert reasons(None, ACCEPTED) == reasons(None, WAITING) == reasons(WAITING, ACCEPTED) == []
