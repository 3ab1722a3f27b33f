"""Rules of accounts: user names, passwords, and how fast somebody may guess. Pure: time is an argument."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

MIN_PASSWORD = 12
MAX_PASSWORD = 256
USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"
"""Letters, digits and `._@+-`: an e-mail address is a user name. The names of services hold a `:` and can never collide."""

_FREE_ATTEMPTS = 5
_MAX_WAIT_S = 60.0
_MAX_ENTRIES = 10_000


def new_password() -> str:
    """Make a password that nobody guesses (144 bits)."""
    return secrets.token_urlsafe(18)


def service_username(org_id: object) -> str:
    """The name of an org's service identity."""
    return f"service:{org_id}"


@dataclass(slots=True)
class Throttle:
    """Slows down guessing for each (account, address): some attempts are free, then each one doubles the wait.

    An attempt counts as failed from its start, so that guesses made at once gain nothing. The oldest entries make room for new ones.
    """

    _entries: OrderedDict[tuple[str, str], tuple[int, float]] = field(default_factory=OrderedDict)

    def admit(self, account: str, address: str, now_s: float) -> float:
        """Return the seconds to wait; 0 means: try now, and call `succeeded` if the password was right."""
        key = (account.lower(), address)
        failures, not_before = self._entries.pop(key, (0, now_s))
        wait_s = not_before - now_s
        if wait_s <= 0:
            failures += 1
            excess = failures - _FREE_ATTEMPTS
            not_before = now_s + (0.0 if excess < 0 else min(_MAX_WAIT_S, 2.0 ** min(excess, 10)))
        self._entries[key] = (failures, not_before)
        while len(self._entries) > _MAX_ENTRIES:
            self._entries.popitem(last=False)
        return max(0.0, wait_s)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the attempts of somebody who knows the password."""
        self._entries.pop((account.lower(), address), None)
