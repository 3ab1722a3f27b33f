"""The gateway port: the desired state goes in, level-based; how it becomes configuration is the adapter's matter."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class GatewayBackend:
    """An engine that Envoy can reach."""

    backend_id: str
    base_url: str
    """`http(s)://host:port` without a path; canonical, so that equal backends are equal strings."""


@dataclass(frozen=True, slots=True, order=True)
class GatewayRoute:
    """A published model and where its requests go."""

    model: str
    backend_id: str


@dataclass(frozen=True, slots=True)
class GatewayState:
    """Everything the gateway should serve. Equal states render to equal bytes."""

    backends: tuple[GatewayBackend, ...] = ()
    routes: tuple[GatewayRoute, ...] = ()


class GatewayRejected(Exception):
    """The gateway refused the configuration and still serves the one before; the message is its reason."""


class GatewayUnreachable(Exception):
    """The gateway did not say whether it took the configuration. Transient: reconcile again."""


class Gateway(Protocol):
    """Applies states one at a time, in order."""

    async def apply(self, state: GatewayState) -> None:
        """Return when the gateway serves `state` without having dropped a stream; raise GatewayRejected or GatewayUnreachable."""
