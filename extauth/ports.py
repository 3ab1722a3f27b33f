"""What extauth needs from others: the truth as `ias.gateway_views` shows it, and what the ledger knows."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ias.change_log import ChangeLog
from ias.gateway_views import Credential, Publication
from ratelimit.ports import BudgetKey


class GatewayReader(ChangeLog, Protocol):
    """Every call reads afresh and raises ReaderUnavailable when it cannot."""

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
