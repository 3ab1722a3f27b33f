"""Routes of limits: the same three for an org, a user and a key. Those of a publication are part of its configuration."""

from typing import Annotated, TypeVar

from fastapi import Response

from controlplane.etag import IfMatch, etag, expected_version
from controlplane.idempotency.route import Router
from controlplane.limits import service
from controlplane.limits.schemas import Limits, OrgLimits
from controlplane.limits.subject import DOORS, Door, Scope, Target

router = Router(tags=["limits"])
L = TypeVar("L", bound=Limits)


def _mount(door: Door, kind: type[L]) -> None:
    path, name = f"{door.path}/limits", f"{door.scope}_limits"
    reader, writer = door.reader(), door.target(*door.limits_writers)

    @router.get(path, name=f"{name}.get", response_model=kind)
    async def get_limits(target: Annotated[Target, reader], response: Response) -> L:
        """Show the limits, those that are not set as null."""
        limits, version = await service.get(target, kind)
        response.headers["etag"] = etag(version)
        return limits

    @router.put(path, name=f"{name}.set", response_model=kind)
    async def set_limits(limits: kind, target: Annotated[Target, writer], response: Response, if_match: IfMatch = None) -> L:  # type: ignore[valid-type]
        """Set all limits; what is left out is lifted. In effect within a second."""
        changed, version = await service.replace(target, limits, expected_version(if_match))
        response.headers["etag"] = etag(version)
        return changed

    @router.delete(path, name=f"{name}.lift", status_code=204)
    async def lift_limits(target: Annotated[Target, writer], if_match: IfMatch = None) -> None:
        """Lift all limits. They are still there to be read, and to be set: each is null."""
        await service.replace(target, kind(), expected_version(if_match))


for _door in DOORS:
    _mount(_door, OrgLimits if _door.scope is Scope.ORG else Limits)
