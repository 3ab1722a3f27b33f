"""What time it is on the store's clock, as far as its answers tell. Pure: both clocks come in as arguments."""


class ServerClock:
    """A lower bound of the store's clock, in ms: it may be a little behind, never ahead, so a deadline in it is never too late.

    Each answer says the store's time of a moment between our sending and our receiving. The best lower bound is kept;
    a clock that was set back shows itself as an impossible bound and starts anew.
    """

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        self._before_set_back_ms = 0

    @property
    def known(self) -> bool:
        """Whether the store has told its time yet."""
        return self._offset_ms is not None

    def observe(self, sent_ms: float, received_ms: float, server_ms: int) -> None:
        """Learn from one answer."""
        low, high = server_ms - received_ms, server_ms + 1 - sent_ms
        if self._offset_ms is None:
            self._offset_ms = low
        elif self._offset_ms > high:
            self._before_set_back_ms = self.latest(received_ms)
            self._offset_ms = low
        else:
            self._offset_ms = max(self._offset_ms, low)

    def at(self, local_ms: float) -> int:
        """Return the store's time at `local_ms`; raise ValueError while it is not known."""
        if self._offset_ms is None:
            raise ValueError("the store has not told its time yet")
        return int(local_ms + self._offset_ms)

    def latest(self, local_ms: float) -> int:
        """Return the latest time that the store's clock has shown until `local_ms`: later than `at` if it was set back, or the store replaced."""
        return max(self._before_set_back_ms, self.at(local_ms))
