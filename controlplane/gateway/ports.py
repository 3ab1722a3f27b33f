"""The gateway port: the desired state goes in, level-based; how it becomes configuration is the adapter's matter."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

ModelProtocol = Literal["openai", "traditional"]
"""What a model's engines speak."""


@dataclass(frozen=True, slots=True)
class GatewayTraffic:
    """What connections to an engine, or to the engines of a model, may take. None: no limit but the gateway's own."""

    connect_timeout_ms: int = 2_000
    silence_timeout_s: int | None = None
    """An engine that sends nothing for so long, before its answer or in it, is given up: 504, or the answer is cut."""
    answer_timeout_s: int | None = None
    """From the end of the request to the end of the answer."""
    max_connections: int | None = None
    """To all engines together; requests beyond it wait."""
    max_pending_requests: int | None = None
    """Requests that may wait for a connection; more get 503."""
    max_requests: int | None = None
    """Requests that may run at once; more get 503."""


@dataclass(frozen=True, slots=True, order=True)
class GatewayBackend:
    """An engine that Envoy can reach."""

    backend_id: str
    base_url: str
    """`http(s)://host:port` without a path; canonical, so that equal backends are equal strings."""
    health_path: str = "/health"
    """Answers 200 while the engine can serve."""
    credential: str = ""
    """The name of the credential that requests to the engine carry, as `Authorization: Bearer`; never the credential itself. Empty: none."""
    traffic: GatewayTraffic = GatewayTraffic()
    """Of all models that have nothing of their own; how it goes together with that of a model: `controlplane.gateway.traffic`."""


@dataclass(frozen=True, slots=True, order=True)
class GatewayTarget:
    """One of the engines of a model."""

    backend_id: str
    weight: int = 100
    """Its share among the healthy targets of its priority."""
    priority: int = 0
    """Targets of a higher number get requests only as far as those of the lower ones are down."""


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """A published model and where its requests go."""

    model: str
    targets: tuple[GatewayTarget, ...]
    """Empty: requests get 503."""
    traffic: GatewayTraffic = GatewayTraffic()
    """Of the model's own."""
    external_path: str = ""
    """A second place of the model; requests to it, and below it, reach authorization too."""
    requires_key: bool = True
    """False: requests without a credential reach authorization at all places of the model."""
    protocol: ModelProtocol = "openai"

    @classmethod
    def to_one(cls, model: str, backend_id: str) -> "GatewayRoute":
        """Make the ordinary route: one engine, nothing of its own."""
        return cls(model, (GatewayTarget(backend_id),))


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

    async def apply(self, state: GatewayState, models: Collection[str] | None = None) -> bool:
        """Return when the gateway serves `state` without having dropped a stream; raise GatewayRejected or GatewayUnreachable.

        A gateway that takes changes one by one may leave some for the next call, and returns False then: with `models` everything that
        is not needed by these, which somebody waits for; else what is more than others should wait for.
        """
