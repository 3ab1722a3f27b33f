"""Takes a publication back that never became published: all in one transaction, from the row alone, as often as one likes."""

from uuid import UUID

from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import revoke_keys
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.saga import Step, advice_for, to_take_back
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import UnitOfWork
from ias.gateway_views import ChangeKind


async def take_back(uow: UnitOfWork, publication_id: UUID, reason: str) -> bool:
    """Undo the steps of an unfinished publication, last first, and keep why; False when there is nothing unfinished of it."""
    repository = PublicationRepository(uow, EVERYTHING)
    if (row := await repository.lock_unfinished(publication_id)) is None:
        return False
    for step in to_take_back(row.status_step):
        match step:
            case Step.CANARY:
                uow.changed(ChangeKind.PUBLICATION, publication_id)
            case Step.KEY:
                await revoke_keys(KeyRepository(uow, EVERYTHING), await repository.key_ids(publication_id))
            case Step.POLICIES:
                await repository.remove_tenants(publication_id)
            case Step.ROUTES:
                failed_at = Step(row.status_step) if row.status_step in set(Step) else Step.PUBLISHED
                await repository.bury(publication_id, status_step=failed_at.value, status_reason=reason, status_advice=advice_for(failed_at))
            case _:
                raise ValueError(f"saga.py says that the step '{step}' is taken back, and nothing here does it")
    return True
