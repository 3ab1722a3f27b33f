"""The index of orgs: which of them a sweeper should look at, and when."""

from collections.abc import Sequence

from ratelimit import layout
from ratelimit.resp import Command

NOTE_MS = 10_000
"""An org is noted again after so long."""
IDLE_LOOK_MS = 30_000
"""An org without open reservations is looked at again so late: a replica that noted it before may have admitted there since."""
FORGET_MS = 300_000
"""Many times `NOTE_MS`: an org this old in the index is one that no replica believes it has just noted."""

_FIRST_CLEANING = 1_024


class Noted:
    """Which orgs this process has noted, on its own clock."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._clean_at = _FIRST_CLEANING
        self._connections = 0

    def fresh(self, orgs: Sequence[str], now: float, connections: int) -> list[str]:
        """Those that are to be noted (again). All are after a new connection: the server may have been emptied before it."""
        if connections != self._connections:
            self._connections = connections
            self._at.clear()
        return [org for org in dict.fromkeys(orgs) if now - self._at.get(org, -NOTE_MS) >= NOTE_MS]

    def add(self, orgs: Sequence[str], now: float) -> None:
        self._at.update(dict.fromkeys(orgs, now))
        if len(self._at) >= self._clean_at:
            self._at = {org: at for org, at in self._at.items() if at > now - NOTE_MS}
            self._clean_at = max(_FIRST_CLEANING, 2 * len(self._at))


def note(orgs: Sequence[str], now_ms: int, ttl_ms: int) -> list[Command]:
    """These orgs get reservations that end after `ttl_ms`."""
    if not orgs:
        return []
    noted = [part for org in orgs for part in (now_ms, org)]
    look = [part for org in orgs for part in (now_ms + ttl_ms, org)]
    return [("ZADD", layout.NOTED, "GT", *noted), ("ZADD", layout.LOOK, "LT", *look)]


def to_look_at(now_ms: int) -> Command:
    """Ask for the orgs to look at by now."""
    return ("ZRANGE", layout.LOOK, "-inf", now_ms, "BYSCORE")


def looked(sha: str, found: Sequence[tuple[str, int]], now_ms: int) -> Command:
    """Say what was found: (org, its next deadline or -1)."""
    parts = [part for pair in found for part in pair]
    return ("EVALSHA", sha, 2, layout.NOTED, layout.LOOK, now_ms, now_ms - FORGET_MS, now_ms + IDLE_LOOK_MS, *parts)
