"""SQL of how it stands with publications in the cluster."""

from collections.abc import Mapping

from sqlalchemy import or_
from sqlalchemy.dialects.postgresql import insert

from controlplane.kubernetes.conditions import Standing
from controlplane.publishing.repository import LIVING
from controlplane.publishing.tables import publication_standings
from controlplane.repository import Repository
from controlplane.schema import publications


class StandingRepository(Repository):
    """Rows of `publication_standings`: one for each living publication that is in the cluster."""

    async def keep(self, standings: Mapping[str, Standing]) -> None:
        """Make these, by model, what is known; rows that say so already are not touched."""
        living = await self.uow.execute(self.visible(publications, publications.c.id, publications.c.model).where(LIVING))
        known = {row.id: standings[row.model] for row in living if row.model in standings}
        await self.uow.execute(self.delete(publication_standings).where(publication_standings.c.publication_id.not_in(known)))
        if not known:
            return
        rows = [{"publication_id": key, "state": standing.state.name.lower(), "reason": standing.reason} for key, standing in known.items()]
        made = insert(publication_standings).values(rows)
        told = {"state": made.excluded.state, "reason": made.excluded.reason}
        differs = or_(publication_standings.c.state != made.excluded.state, publication_standings.c.reason != made.excluded.reason)
        await self.uow.execute(made.on_conflict_do_update(index_elements=["publication_id"], set_=told, where=differs))
