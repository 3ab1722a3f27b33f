"""Whether to ask a dependency that has failed lately. Pure: time and chance come in as arguments.

Closed, everything is asked. After several failures in a row it opens: nothing is asked but one probe after each pause, of
a length that chance spreads, so that replicas do not probe together. One success closes it.
"""

from typing import Final

FAILURES: Final = 3
PAUSE_MS: Final = 500


class Breaker:
    """`now_ms` is of a clock that never goes back; `chance` is from 0 to 1."""

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at_ms: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are decided without the dependency, but for probes."""
        return self._probe_at_ms is not None

    def allows(self, now_ms: float, chance: float) -> bool:
        """Whether to ask now. An open breaker lets whoever comes after the pause be the probe, and the next pause begins."""
        if self._probe_at_ms is None:
            return True
        if now_ms < self._probe_at_ms:
            return False
        self._probe_at_ms = _after_pause(now_ms, chance)
        return True

    def succeeded(self) -> None:
        """The dependency has answered."""
        self._failures = 0
        self._probe_at_ms = None

    def failed(self, now_ms: float, chance: float) -> None:
        """It has not."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._probe_at_ms = _after_pause(now_ms, chance)


def _after_pause(now_ms: float, chance: float) -> float:
    return now_ms + PAUSE_MS * (0.5 + chance)
