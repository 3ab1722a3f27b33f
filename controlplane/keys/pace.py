"""How often one client address may ask without having signed in. Pure: time is an argument.

The generic cell rate algorithm (ITU-T I.371): of each address only the moment is kept at which all it has asked for is paid off.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

_BURST = 10
_MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class Pace:
    """Some attempts at once, then `per_minute`; the address that has not asked for longest makes room for a new one."""

    per_minute: int
    _paid_off: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def wait_s(self, address: str, now_s: float) -> float:
        """Return the seconds to wait; 0: go on, the attempt is counted."""
        interval = 60 / self.per_minute
        paid_off = max(now_s, self._paid_off.pop(address, now_s))
        wait = max(0.0, paid_off - now_s - (_BURST - 1) * interval)
        self._paid_off[address] = paid_off if wait else paid_off + interval
        while len(self._paid_off) > _MAX_ADDRESSES:
            self._paid_off.popitem(last=False)
        return wait
