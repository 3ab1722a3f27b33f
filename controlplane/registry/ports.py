"""Port of the registry: what it reads."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from controlplane.registry.models import Approvals, Model, Provider
from ias.change_log import ChangeLog


class RegistryReader(ChangeLog, Protocol):
    """Every call reads afresh and raises ReaderUnavailable when it cannot."""

    async def providers(self) -> list[Provider]:
        """All backends that live."""

    async def models(self, backend_ids: Collection[UUID] | None = None, model_ids: Collection[UUID] | None = None) -> list[Model]:
        """The models of these backends and these models; without both, all."""

    async def approvals(self, org_ids: Sequence[str] | None = None) -> dict[str, Approvals]:
        """What these orgs have decided; without ids, all of them. An org without anything is there only when it is named."""
