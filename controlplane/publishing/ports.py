"""Port of publishing: trying a model the way a client does."""

from dataclasses import dataclass, field
from typing import Protocol

from controlplane.documentation.schemas import Kind


@dataclass(frozen=True, slots=True)
class Flight:
    """What the canary needs to know."""

    model: str
    kind: Kind
    hostname: str | None
    require_api_key: bool
    api_key: str = field(repr=False)


class CanaryFailed(Exception):
    """The model cannot be used through the gateway, or can be by anybody; the message says what was seen."""


class Canary(Protocol):
    """Asks the gateway for a model that the data plane is about to learn of."""

    async def fly(self, flight: Flight) -> str | None:
        """Return when a request without a key was refused and one with the key has reached the model, with what is worth knowing.

        Raises CanaryFailed within the time limit.
        """


class NoCanary:
    """Stands in where no gateway is configured; there nothing is published anyhow."""

    async def fly(self, flight: Flight) -> str | None:
        return None
