"""How often something may happen in a second."""


class Rate:
    """Counts over whole seconds of the clock that it is given."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = -1
        self._count = 0

    def exceeded(self, now: float) -> bool:
        """Count one more; True when that is one too many for this second."""
        second = int(now)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count > self._limit
