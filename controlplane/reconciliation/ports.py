"""Port of reconciliation: the counters of an engine."""

from typing import Protocol

from controlplane.reconciliation.rules import Tokens


class CountersUnavailable(Exception):
    """The engine does not show counters now; the message says why."""


class CountersReader(Protocol):
    """Reads what an engine has counted since it started."""

    async def read(self, base_url: str) -> dict[str, Tokens]:
        """Return the tokens of each model by the engine's own name for it; raise CountersUnavailable."""
