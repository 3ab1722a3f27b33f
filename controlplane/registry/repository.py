"""SQL of the registry over REST: models that an org may use, with their prices."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func

from controlplane.approvals.repository import ApprovalRepository
from controlplane.approvals.rules import State
from controlplane.catalog.rules import Status
from controlplane.catalog.tables import catalog_models, catalog_prices
from controlplane.repository import EVERYTHING, Repository


class RegistryRepository(Repository):
    """What is approved for the org of the reach."""

    async def find(self, model: str) -> Row[Any] | None:
        """Return the model that an id or an alias names, whatever its state."""
        return (await ApprovalRepository(self.uow, self.reach).named([model])).get(model)

    def available(self, provider: str | None, capability: str | None, modality: str | None) -> Select[Any]:
        """Models that are approved and there, by what they can do."""
        statement = ApprovalRepository(self.uow, self.reach).models(state=State.APPROVED, backend=provider)
        statement = statement.where(catalog_models.c.status == Status.ACTIVE)
        if capability is not None:
            statement = statement.where(catalog_models.c.capabilities.contains([capability]))
        return statement if modality is None else statement.where(catalog_models.c.modalities.contains([modality]))

    async def prices(self, catalog_model_ids: Collection[UUID], now: datetime) -> dict[UUID, Row[Any]]:
        """Return the prices that are in force; prices belong to no org."""
        prices = Repository(self.uow, EVERYTHING).visible(catalog_prices)
        query = prices.where(catalog_prices.c.catalog_model_id == func.any(list(catalog_model_ids)), catalog_prices.c.valid_from <= now)
        rows = (await self.uow.execute(query.order_by(catalog_prices.c.valid_from))).all()
        return {row.catalog_model_id: row for row in rows}  # the latest wins
