"""Finds the backends that a publication names, and checks that they can serve it."""

from typing import Any

from sqlalchemy import Row

from controlplane.backends.rules import Health
from controlplane.backends.service import check_address, check_credential
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.rules import Candidate, Chosen, choose_backend, choose_targets
from controlplane.publishing.schemas import BackendsOfModel, Target


async def find_targets(publisher: Publisher, repository: PublicationRepository, named: BackendsOfModel, upstream_model: str) -> list[Chosen]:
    """Return where a model goes, in the order of use, with the backends locked against deletion.

    Raises:
        Problem: as in `rules`; egress_denied for an engine whose address may not be called, credential_unusable for one whose
            credential cannot be read.
    """
    if named.backends is None:
        rows = {row.id: row for row in await repository.candidates(named.backend, upstream_model)}
        found = [_candidate(row) for row in rows.values()]
        chosen = [Chosen(choose_backend(found, named.backend, upstream_model))]
    else:
        by_name = await repository.named({target.name for target in named.backends})
        rows = {row.id: row for row in by_name.values()}
        known = {name: _candidate(row) for name, row in by_name.items()}
        chosen = choose_targets([(known.get(one.name), one.name, one.weight, one.priority) for one in named.backends], upstream_model)
    for target in chosen:
        row = rows[target.backend.backend_id]
        await check_address(publisher.egress, row.base_url)
        check_credential(publisher.credentials, row.credential)
    return chosen


async def those_of_now(repository: PublicationRepository, current: Row[Any]) -> BackendsOfModel:
    """Return the backends that a publication has, as a configuration would name them."""
    rows = await repository.targets(current.id)
    if all(row.backend_id != current.backend_id for row in rows):
        return BackendsOfModel(backend=str(current.backend_id))
    return BackendsOfModel(backends=[Target(name=str(row.backend_id), weight=row.weight, priority=row.priority) for row in rows])


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(row.id, row.name, row.kind, Health(row.health), row.health_reason or "", tuple(row.models))
