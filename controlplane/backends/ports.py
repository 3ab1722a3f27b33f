"""Port of the backends: asking an engine how it is."""

from typing import Protocol

from controlplane.backends.rules import Verdict


class Prober(Protocol):
    """Asks one engine."""

    async def probe(self, base_url: str) -> Verdict:
        """Return within a few seconds and never raise for what an engine does: an engine that misbehaves is unhealthy."""
