"""Where security events come from. Each has an id, so that one that comes twice counts once and no positions are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ias.security_event import RequestsRefused


@dataclass(frozen=True, slots=True)
class Taken:
    """Some events, and what names them to their source."""

    events: Sequence[RequestsRefused]
    receipt: object


class FeedUnavailable(Exception):
    """The feed or the store does not work now; the message is the reason. Transient."""


class SecurityFeed(Protocol):
    """Delivers at least once. Both calls raise FeedUnavailable."""

    async def take(self) -> Taken | None:
        """Return the next events without waiting for any; None when there are none."""

    async def stored(self, taken: Taken) -> None:
        """They are durable: do not deliver them again."""

    async def close(self) -> None:
        """Let go of what is open."""
