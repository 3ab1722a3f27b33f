"""Which security events somebody wants to see, and how they are counted together. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Grouping(StrEnum):
    """What refusals have in common."""

    KIND = "kind"
    """Status and code: why they were refused."""
    KEY = "key"
    """The public part of the API key."""
    NETWORK = "network"
    """Where they came from."""
    ORG = "org"
    """Whose key it was; nobody's, where it was no valid one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell them apart."""
        return {Grouping.KIND: ("status", "code"), Grouping.KEY: ("credential",), Grouping.NETWORK: ("address",), Grouping.ORG: ("org_id",)}[self]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events; None: all."""

    status: int | None = None
    code: str | None = None
    credential: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY = Sought()
"""All events."""
