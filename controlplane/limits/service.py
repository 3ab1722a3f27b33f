"""What happens to limits."""

from typing import TypeVar

from controlplane.etag import check_version
from controlplane.limits.repository import LimitsRepository
from controlplane.limits.schemas import Limits
from controlplane.limits.subject import Target

L = TypeVar("L", bound=Limits)


async def get(target: Target, kind: type[L]) -> tuple[L, int]:
    """Return a subject's limits with their version."""
    row = await LimitsRepository(target.access.uow, target.access.reach).read(target.subject)
    return kind.model_validate({name: getattr(row, name) for name in kind.model_fields}), row.limits_version


async def replace(target: Target, limits: L, expected: int | None) -> tuple[L, int]:
    """Set all limits of a subject; raise Problem 412 when they are not those that were read."""
    repository = LimitsRepository(target.access.uow, target.access.reach)
    check_version(expected, (await repository.lock(target.subject)).limits_version, f"limits of this {target.subject.scope}")
    await repository.set(target.subject, limits.model_dump())
    target.changed()
    return await get(target, type(limits))
