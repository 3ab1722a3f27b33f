"""How probes become the health of a backend. Pure.

One probe is a rumour: only several bad ones in a row take a backend down, and several good ones bring it back. What is decided at once is
the first probe of all, one that a person asked for, and an address that may not be called.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.backends.rules import Health

PROBES_KEPT = 60
"""Availability is the share of good ones among so many."""
_SMOOTHING = 0.2
"""Weight of the newest latency in the mean."""
_ALL = (1 << PROBES_KEPT) - 1


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probes in a row that change the health."""

    bad: int = 3
    good: int = 2


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe says."""

    at: datetime
    problem: str
    """Empty: all is well."""
    latency_ms: float | None
    decides: bool = False
    """At once, whatever was before."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of a backend."""

    health: Health = Health.UNKNOWN
    reason: str = ""
    """Of the last probe, when it was bad."""
    against: int = 0
    """Probes in a row that speak against `health`."""
    history: int = 0
    """A bit for each of the last probes, the newest lowest: 1, it was good."""
    probes: int = 0
    """How many bits of the history count."""
    latency_ms: float | None = None
    """Mean of the good probes, in which old ones fade."""
    changed_at: datetime | None = None

    @property
    def availability(self) -> float | None:
        """The share of good probes among those kept; None before the first."""
        return self.history.bit_count() / self.probes if self.probes else None


def after_probe(before: Condition, probed: Probed, thresholds: Thresholds) -> Condition:
    """Return what is known after one more probe."""
    says = Health.UNHEALTHY if probed.problem else Health.HEALTHY
    seen = replace(
        before,
        reason=probed.problem,
        history=(before.history << 1 | (not probed.problem)) & _ALL,
        probes=min(before.probes + 1, PROBES_KEPT),
        latency_ms=before.latency_ms if probed.problem else _mean(before.latency_ms, probed.latency_ms),
    )
    if says is before.health:
        return replace(seen, against=0)
    against = before.against + 1
    needed = thresholds.bad if probed.problem else thresholds.good
    if against < needed and not probed.decides and before.health is not Health.UNKNOWN:
        return replace(seen, against=against)
    return replace(seen, health=says, against=0, changed_at=probed.at)


def _mean(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return before if now is None else now
    return before + _SMOOTHING * (now - before)
