"""How often one client address may ask without having signed in. Pure: time is an argument; what is counted is kept by the repository.

The generic cell rate algorithm (ITU-T I.371): of each address only the moment is kept at which all it has asked for is paid off. All replicas
share that. Each remembers for itself whom it has refused and until when, so that a flood of refusals asks the database nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_BURST = 10
_MAX_ADDRESSES = 10_000


def ask(paid_off: datetime, now: datetime, per_minute: int) -> tuple[float, datetime]:
    """Return the seconds to wait, and when all is paid off then; 0 s: go on, the attempt is counted."""
    interval = timedelta(minutes=1) / per_minute
    owed = max(now, paid_off)
    wait = (owed - now - (_BURST - 1) * interval).total_seconds()
    return (wait, owed) if wait > 0 else (0.0, owed + interval)


@dataclass(slots=True)
class Pace:
    """Some attempts at once, then `per_minute`; and who was refused here. Times are monotonic seconds."""

    per_minute: int
    _refused_until: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def refused_s(self, address: str, now_s: float) -> float:
        """Return for how many seconds an address is refused as it was told before; 0: ask."""
        return max(0.0, self._refused_until.get(address, now_s) - now_s)

    def refuse(self, address: str, until_s: float) -> None:
        """Remember it; the address that was refused longest ago makes room."""
        self._refused_until[address] = until_s
        self._refused_until.move_to_end(address)
        while len(self._refused_until) > _MAX_ADDRESSES:
            self._refused_until.popitem(last=False)
