"""Which publications somebody may read about: those that the own org may call."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Row, String, cast, column, func, literal, select, table, true

from controlplane.catalog.tables import catalog_models, publication_models
from controlplane.publishing.repository import PublicationRepository
from controlplane.repository import EVERYTHING, Repository
from controlplane.schema import publications
from ias.gateway_views import PUBLICATIONS

_served = table(PUBLICATIONS, column("publication_id"), column("allowed_org_ids", ARRAY(String)))


class DocumentationRepository(Repository):
    """Reads of publications, by use instead of ownership."""

    async def find(self, model: str) -> Row[Any] | None:
        """Return the living publication of a name, with what belongs to it, if the reach's org may call it: the gateway's own view decides."""
        may_call: ColumnElement[bool] = true()
        if self.reach.org_id is not None:
            served = select(cast(_served.c.publication_id, String)).where(literal(str(self.reach.org_id)) == _served.c.allowed_org_ids.any_())
            may_call = cast(publications.c.id, String).in_(served)
        # Whose it is plays no part here, so the reach of the other repository is everything.
        query = PublicationRepository(self.uow, EVERYTHING).detailed(publications.c.model == model, may_call)
        return (await self.uow.execute(query)).one_or_none()

    async def capabilities(self, publication_id: UUID) -> frozenset[str]:
        """Return what the catalog knows the model to be able to, at any of its backends; empty: nothing is known."""
        query = (
            select(func.unnest(catalog_models.c.capabilities))
            .join(publication_models, publication_models.c.catalog_model_id == catalog_models.c.id)
            .where(publication_models.c.publication_id == publication_id)
        )
        return frozenset((await self.uow.execute(query)).scalars().all())
