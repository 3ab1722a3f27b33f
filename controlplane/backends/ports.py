"""Port of the backends: asking an engine how it is."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from controlplane.backends.health import Thresholds
from controlplane.backends.references import EngineReference, Readiness
from controlplane.backends.rules import Health, Verdict
from ias.gateway_views import ModelType


@dataclass(frozen=True, slots=True)
class Probe:
    """Whom to ask, and for what."""

    base_url: str
    kind: ModelType = ModelType.OPENAI
    """What is known of the protocol that it speaks; its list of models tells."""
    credential: str | None = None
    """The name of a credential."""
    discovers: bool = True
    """Also for the list of models."""
    reference: EngineReference | None = None
    """The object that tells of the engine, where it was registered by one; `base_url` is what it told last, or empty."""


class Prober(Protocol):
    """Asks one engine."""

    async def probe(self, probe: Probe) -> Verdict:
        """Return within a few seconds and never raise for what an engine does: an engine that misbehaves is unhealthy."""


class ClusterUnavailable(Exception):
    """The cluster did not answer: nothing is known of the engine."""


class EngineObjects(Protocol):
    """Objects of a cluster that engines are registered by."""

    async def look(self, reference: EngineReference) -> Readiness:
        """Say what an object tells of its engine; one that is not there is not ready. Raises ClusterUnavailable."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between probes, and between two that ask for models too, of a backend that has none of its own."""

    probe: float = 10.0
    discovery: float = 60.0


@dataclass(frozen=True, slots=True)
class Probing:
    """How backends are probed."""

    prober: Prober
    intervals: Intervals = field(default_factory=Intervals)
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class Turn:
    """One backend's turn."""

    backend_id: UUID
    probe: Probe


@dataclass(frozen=True, slots=True)
class Change:
    """The health of a backend changed, whether it may be called (`denial`), or where it is (`moved`)."""

    name: str
    base_url: str
    health: Health
    reason: str
    denial: bool
    moved: bool = False
