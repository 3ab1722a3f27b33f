"""Counts refusals by minute and kind, in bounded memory whatever is sent. Pure."""

import ipaddress
from functools import lru_cache
from typing import NamedTuple

MINUTE_MS = 60_000
ANONYMOUS_KINDS = 500
"""Kinds in one minute that are told apart when nobody knows the org."""
ORG_KINDS = 100
"""The same for each org: a stranger cannot use them up."""


class Kind(NamedTuple):
    """Refusals that are counted together."""

    minute_ms: int
    status: int
    code: str
    org_id: str | None
    credential: str | None
    address: str | None
    overflow: bool = False


class RefusalCounts:
    """Grows by the number of orgs, codes and minutes that are not taken yet, and by nothing that a client chooses."""

    def __init__(self) -> None:
        self._counts: dict[Kind, int] = {}
        self._kinds: dict[tuple[int, str | None], int] = {}

    def add(self, kind: Kind) -> None:
        """Count one refusal."""
        if kind not in self._counts:
            group = kind.minute_ms, kind.org_id
            told_apart = self._kinds.get(group, 0)
            if told_apart >= (ANONYMOUS_KINDS if kind.org_id is None else ORG_KINDS):
                kind = kind._replace(credential=None, address=None, overflow=True)
            else:
                self._kinds[group] = told_apart + 1
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def take_before(self, minute_ms: int) -> list[tuple[Kind, int]]:
        """Return the counts of the minutes before, and forget them."""
        taken = [(kind, count) for kind, count in self._counts.items() if kind.minute_ms < minute_ms]
        for kind, _ in taken:
            del self._counts[kind]
        self._kinds = {group: count for group, count in self._kinds.items() if group[0] >= minute_ms}
        return taken


@lru_cache(10_000)
def network_of(address: str) -> str | None:
    """Return the network of a client's address, `192.0.2.0/24` or `2001:db8::/48`; None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))
