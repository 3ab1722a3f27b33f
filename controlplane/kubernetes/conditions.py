"""What controllers say of our objects, read from their conditions. Pure.

A condition counts when it speaks of the object as it is now (`observedGeneration`). Some answers only mean "not yet": Envoy Gateway calls a
policy `Invalid` while the Service behind it has no ready endpoint, and says nothing at all of a route whose Gateway is not there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from controlplane.kubernetes.labels import MODEL
from controlplane.kubernetes.objects import Json, Key, Manifest, key_of

_JUDGED = frozenset({"Accepted", "Programmed", "ResolvedRefs"})
_NOT_YET = frozenset(
    {
        *("Pending", "Invalid", "AddressNotAssigned", "NoResources", "BackendNotFound", "EndpointsNotFound", "TargetNotFound", "Unknown"),
        "InvalidParameters",  # of a Gateway that was seen before its EnvoyProxy, which is written together with it
        "ResourceNotFound",  # of a patch: Envoy's cluster of the Rate Limit Service comes with the first route
    }
)
_WITHOUT_STATUS = frozenset({"ReferenceGrant", "HTTPRouteFilter", "EnvoyProxy", "GatewayConfig"})
"""Nobody writes conditions of their own for these; what refers to them has them."""
_SEEN_WITH_ROUTES = frozenset({"Backend", "AIServiceBackend", "BackendSecurityPolicy"})
"""Envoy Gateway looks at these when a route refers to them; then its `ResolvedRefs` speaks of them, too."""


class State(IntEnum):
    """From good to bad."""

    ACCEPTED = 0
    WAITING = 1
    """Looked at, and not usable yet: for something that can still come."""
    UNSEEN = 2
    """No controller has said anything of it, as it is now."""
    CONFLICT = 3
    """Another manager owns fields that we want otherwise."""
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with an object, or with a publication: the worst of its objects."""

    state: State
    reason: str = ""


ACCEPTED = Standing(State.ACCEPTED)


def standing_of(live: Manifest, controller: str = "") -> Standing:
    """Read the status of an object. Of several controllers only `controller` is heard, where it says its name."""
    if live["kind"] in _WITHOUT_STATUS:
        return ACCEPTED
    key = key_of(live)
    generation = live["metadata"].get("generation", 0)
    heard = [condition for condition in _conditions(live.get("status") or {}, controller) if condition.get("type") in _JUDGED]
    current = [condition for condition in heard if condition.get("observedGeneration", generation) >= generation]
    if not heard and live["kind"] in _SEEN_WITH_ROUTES:
        return ACCEPTED
    if not current:
        about = "its newest version" if heard else "it"
        return Standing(State.UNSEEN, f"{key}: no controller has said anything of {about} yet; is Envoy Gateway running, and its Gateway there?")
    return max((_judged(key, condition) for condition in current), key=lambda standing: standing.state)


def standings(live: Iterable[Manifest], problems: Mapping[Key, Standing], controller: str = "") -> dict[str, Standing]:
    """Return how it stands with each model, by the objects that are its own. `problems`: what could not be written."""
    found: dict[str, Standing] = {}
    for manifest in live:
        model = (manifest["metadata"].get("annotations") or {}).get(MODEL)
        if model is not None:
            standing = problems.get(key_of(manifest)) or standing_of(manifest, controller)
            found[model] = max(standing, found.get(model, ACCEPTED), key=lambda one: one.state)
    return found


def _conditions(status: Json, controller: str) -> Iterator[Json]:
    """Those of the object itself, of a route for its parents, of a policy for its ancestors."""
    yield from status.get("conditions") or ()
    for part in (*(status.get("parents") or ()), *(status.get("ancestors") or ())):
        if not controller or part.get("controllerName", controller) == controller:
            yield from part.get("conditions") or ()


def _judged(key: Key, condition: Json) -> Standing:
    if condition.get("status") == "True":
        return ACCEPTED
    reason = condition.get("reason", "")
    state = State.WAITING if reason in _NOT_YET or condition.get("status") == "Unknown" else State.REFUSED
    return Standing(state, f"{key}: {condition['type']} is {condition.get('status')}, {reason}: {condition.get('message', '')}")
