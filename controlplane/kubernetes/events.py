"""Kubernetes events: what changed in how it stands with our objects, told where `kubectl describe` shows it. Nothing depends on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.kubernetes.api import KubernetesApi
from controlplane.kubernetes.conditions import Standing, State
from controlplane.kubernetes.objects import Key
from ias import logs

log = logs.get(__name__)

_CONTROLLER = "ias.dev/control-plane"
_NOTE_LENGTH = 1_000
_WARNINGS = {State.CONFLICT: "Conflict", State.REFUSED: "Refused"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object."""

    about: Key
    is_warning: bool
    reason: str
    note: str


def events_between(before: Mapping[Key, Standing], now: Mapping[Key, Standing]) -> Iterator[Event]:
    """Yield what there is to tell: something went wrong, differently than before, or is well again. Pure."""
    for key, standing in now.items():
        earlier = before.get(key)
        if standing.state in _WARNINGS and standing != earlier:
            yield Event(key, True, _WARNINGS[standing.state], standing.reason)
        elif standing.state is State.ACCEPTED and earlier is not None and earlier.state in _WARNINGS:
            yield Event(key, False, "Accepted", f"{key} is as it should be again")


class KubernetesEvents:
    """Writes events; what cannot be written is logged and forgotten."""

    def __init__(self, api: KubernetesApi, identity: str) -> None:
        self._api = api
        self._identity = identity

    async def tell(self, event: Event) -> None:
        """Write one."""
        namespace = event.about.namespace or "default"
        about = event.about
        body = {
            "metadata": {"name": f"ias-{uuid4().hex}", "namespace": namespace},
            "regarding": {"apiVersion": about.api_version, "kind": about.kind, "namespace": about.namespace, "name": about.name},
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "action": "Reconcile",
            "note": event.note[:_NOTE_LENGTH],
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._identity[:128],
        }
        try:
            await self._api.call("POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        except (GatewayRejected, GatewayUnreachable) as error:
            log.warning("an event was not written", about=str(about), told=event.reason, reason=str(error))
