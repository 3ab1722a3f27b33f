"""What extauth needs from others: the truth as `ias.gateway_views` shows it, and a register of replicas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ias.gateway_views import Credential, Publication
from ratelimit.ports import BudgetKey


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed; `kind` is a `ChangeKind`, or one of a newer writer."""

    seq: int
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Position:
    """A point in the change log. Another epoch means another history: the database was restored."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What the log says after a position, in order."""

    epoch: str
    changes: tuple[Change, ...]


class ReaderUnavailable(Exception):
    """The truth cannot be read now. Transient; the message holds no secret."""


class GatewayReader(Protocol):
    """Every call reads afresh and raises ReaderUnavailable when it cannot."""

    async def position(self) -> Position:
        """Epoch and last sequence number."""

    async def changes(self, after_seq: int) -> Changes:
        """The next changes, at most some thousand."""

    async def each_credential_id(self, take: Callable[[list[str]], None]) -> None:
        """Give all live ids to `take`, in portions, in ascending order of their bytes."""

    async def credentials(self, credential_ids: Sequence[str]) -> list[Credential]:
        """Those of the named credentials that are live."""

    async def publications(self, publication_ids: Sequence[str] | None = None) -> list[Publication]:
        """Those of the named publications that are published; without names, all."""


class BudgetLedger(Protocol):
    """What was spent, as far as the ledger knows."""

    async def spent(self, budget: BudgetKey, until_ms: int) -> int:
        """Tokens of requests admitted from the budget's start until before `until_ms`; raise ReaderUnavailable."""


class ReplicaRegister(Protocol):
    """Where the replicas of extauth see each other."""

    async def beat(self, live_ms: int) -> tuple[int, int]:
        """Be seen as live for `live_ms`; return the register's time in ms and how many are live, or raise StoreUnavailable."""
