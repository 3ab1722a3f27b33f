"""How many tokens to hold for a request: the rule of `TokenHold`, for the memory store and as arguments of the script."""

import msgspec

from ratelimit.ports import TokenHold


class Offer(msgspec.Struct, frozen=True):
    """A TokenHold in the numbers that decide: `full` is given from `full_from` free tokens on, nothing below `least`."""

    full: int
    full_from: int
    reduced: int
    least: int

    @classmethod
    def of(cls, hold: TokenHold) -> "Offer":
        full_from = -(-hold.full * 100 // hold.share_percent)
        reduced = min(hold.reduced, hold.full)
        least = min(full_from, *(n for n in (reduced, hold.at_least) if n > 0)) if reduced or hold.at_least else full_from
        return cls(hold.full, full_from, reduced, least)

    def held(self, free: int) -> int:
        """How many are held where `free`, at least `least`, are left."""
        if free >= self.full_from:
            return self.full
        if 0 < self.reduced <= free:
            return self.reduced
        return min(self.full, free)
