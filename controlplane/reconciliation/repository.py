"""SQL of reconciliation. Its tables belong to no org: a reach of one org raises."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import insert

from controlplane.reconciliation.rules import Followed, Tokens
from controlplane.reconciliation.tables import engine_counters
from controlplane.repository import Repository
from controlplane.schema import backends, publications
from controlplane.usage.dimensions import Dimension
from controlplane.usage.periods import Period
from controlplane.usage.repository import UsageRepository

MOST_PUBLICATIONS = 100_000


class ReconciliationRepository(Repository):
    """Starting points of the engines' counters, and the ledger's sums beside them."""

    async def engines(self) -> Sequence[Row[Any]]:
        """Return id, name and base URL of all living backends in order of name."""
        query = self.visible(backends, backends.c.id, backends.c.name, backends.c.base_url).where(backends.c.status != "deleted")
        return (await self.uow.execute(query.order_by(backends.c.name))).all()

    async def followed(self, backend_id: UUID) -> dict[str, Followed]:
        """Return what is known of each model of an engine, locked."""
        query = self.visible(engine_counters).where(engine_counters.c.backend_id == backend_id).with_for_update()
        return {row.model: _followed(row) for row in (await self.uow.execute(query)).all()}

    async def keep(self, backend_id: UUID, model: str, followed: Followed) -> None:
        """Store what is known of a model of an engine."""
        values = {
            "since": followed.since,
            "input_tokens": followed.counted.input,
            "output_tokens": followed.counted.output,
            "last_input": followed.last.input,
            "last_output": followed.last.output,
            "read_at": followed.read_at,
            "resets": followed.resets,
        }
        statement = insert(engine_counters).values(backend_id=backend_id, model=model, **values)
        await self.uow.execute(statement.on_conflict_do_update(index_elements=["backend_id", "model"], set_=values))

    async def ledger_since(self, since: datetime) -> dict[tuple[UUID, str], Tokens]:
        """Return the tokens of requests admitted since a moment, by engine and its own name of the model, as publications say today."""
        _, (groups,) = await UsageRepository(self.uow, self.reach).breakdown(Period(since, None), [Dimension.PUBLICATION], {}, MOST_PUBLICATIONS)
        query = self.visible(publications, publications.c.id, publications.c.backend_id, publications.c.upstream_model)
        served = {row.id: (row.backend_id, row.upstream_model) for row in (await self.uow.execute(query)).all()}
        totals: defaultdict[tuple[UUID, str], Tokens] = defaultdict(lambda: Tokens(0, 0))
        for row in groups:
            if (by := served.get(UUID(row.group))) is not None:
                totals[by] = Tokens(totals[by].input + int(row.input_tokens), totals[by].output + int(row.output_tokens))
        return totals


def _followed(row: Row[Any]) -> Followed:
    counted, last = Tokens(row.input_tokens, row.output_tokens), Tokens(row.last_input, row.last_output)
    return Followed(row.since, counted, last, row.read_at, row.resets)
