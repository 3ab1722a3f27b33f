"""Ports of egress: calls to addresses that people, or a stranger's DNS, have chosen, and how names are resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.egress.rules import Address

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One call. `repr` shows no headers: they may hold a credential."""

    url: str
    timeout_s: float
    """For all of it, from the name to the last byte."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    max_bytes: int = _MEBIBYTE
    """Of the answer's body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. A redirect is an answer like others: it is not followed."""

    status: int
    body: bytes = field(repr=False)
    seconds: float
    """From the beginning of the call until the answer began."""


class CallFailed(Exception):
    """The other side did not answer as it must; the message says why, without secrets."""


class EgressDenied(CallFailed):
    """The address may not be called. The message begins with `egress_denied: ` and says what to do."""


class NameNotResolved(CallFailed):
    """DNS has no address for the name, or does not answer now."""


class Egress(Protocol):
    """Calls, and judges what could be called."""

    async def call(self, outgoing: Outgoing) -> Answer:
        """Call an address that is allowed and return its answer. Raises CallFailed, EgressDenied among them, and nothing else of the other side's."""

    async def check(self, base_url: str) -> None:
        """Resolve and judge without a call. Raises EgressDenied; a name that cannot be resolved now is no denial."""


class Resolver(Protocol):
    """Asks the name service."""

    async def resolve(self, host: str) -> tuple[Address, ...]:
        """Return every address of a host, at least one. Raises NameNotResolved."""
