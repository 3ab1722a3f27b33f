"""The hold of an answer that may outgrow it: when to ask for more, and when the answer has to wait or to end. Pure arithmetic.

More is asked for a part of a step ahead of need, so that as a rule the answer never waits. What is refused ahead is asked for once
more at the edge of the hold, because limits refill meanwhile; refused there, the answer ends.
"""

from ratelimit.ports import Held


class Hold:
    """`held` tokens in all, topped up by `step` and multiples of it."""

    __slots__ = ("_asked", "_patient", "_refused", "_step", "held")

    def __init__(self, held: int, step: int) -> None:
        self.held = held
        self._step = step
        self._asked = 0
        self._refused = False
        self._patient = True

    def ask(self, used: int) -> int:
        """How many tokens to ask the store for now; 0: none."""
        ahead = 0 if self._refused else max(1, self._step // 4)
        missing = used + ahead - self.held
        if self._asked or missing <= 0:
            return 0
        self._asked = -(-missing // self._step) * self._step
        return self._asked

    def covers(self, used: int) -> bool:
        """Whether what was used may pass: it is held, or the store has had its time to answer."""
        return used <= self.held or (self._asked > 0 and not self._patient)

    def lose_patience(self) -> None:
        """The store has not answered in time: the answer passes on until it does."""
        self._patient = False

    def answered(self, held: Held | None, used: int) -> bool:
        """Take the store's answer (None: it is away); return whether the answer of the engine has to end here.

        While the store is away, or has lost the reservation, the stream goes on: it was admitted, its true total is settled in the end.
        """
        asked, self._asked, self._patient = self._asked, 0, True
        if held is Held.OVER:
            self._refused = True
            return used > self.held
        self._refused = False
        self.held += asked
        return False
