"""The hold of an answer that may outgrow it: when to ask for more, and when the answer has to wait or to end. Pure arithmetic.

More is asked for a part of a step ahead of need, so that as a rule the answer never waits. What is refused ahead is asked for once
more at the edge of the hold, because limits refill meanwhile; refused there, the answer ends. While the store is away the answer goes
on, as what was admitted does, and asks again after each such part.
"""

from ratelimit.ports import Held


class Hold:
    """`held` tokens in all, topped up by `step` and multiples of it."""

    __slots__ = ("_asked", "_part", "_patient", "_refused", "_step", "_unheld_until", "held")

    def __init__(self, held: int, step: int) -> None:
        self.held = held
        self._step = step
        self._part = max(1, step // 4)
        self._asked = 0
        self._refused = False
        self._patient = True
        self._unheld_until = 0

    def ask(self, used: int) -> int:
        """How many tokens to ask the store for now; 0: none."""
        missing = used - self.held + (0 if self._refused else self._part)
        if self._asked or missing <= 0 or used <= self._unheld_until:
            return 0
        self._asked = -(-missing // self._step) * self._step
        return self._asked

    def covers(self, used: int) -> bool:
        """Whether what was used may pass: it is held, or the store has had its time to answer, or is away."""
        return used <= self.held or used <= self._unheld_until or (self._asked > 0 and not self._patient)

    def lose_patience(self) -> None:
        """The store has not answered in time: the answer passes on until it does."""
        self._patient = False

    def answered(self, held: Held | None, used: int) -> bool:
        """Take the store's answer (None: it is away); return whether the answer of the engine has to end here.

        A reservation that the store has lost is held again as it is needed, so that counts as granted.
        """
        asked, self._asked, self._patient = self._asked, 0, True
        if held is None:
            self._unheld_until = used + self._part
            return False
        if held is Held.OVER:
            self._refused = True
            return used > self.held
        self._refused = False
        self.held += asked
        return False
