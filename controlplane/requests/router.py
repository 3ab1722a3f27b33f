"""Routes of single requests."""

from typing import Annotated

from fastapi import Path

from controlplane.authorization import Access, require
from controlplane.idempotency.route import Router
from controlplane.requests import service
from controlplane.requests.schemas import RequestId, RequestList
from ias.roles import Permission

router = Router(tags=["usage"])
Reader = Annotated[Access, require(Permission.KEYS_OWN, Permission.KEYS_ALL)]


@router.get("/requests/{request_id}", name="request.explain")
async def explain(request_id: Annotated[RequestId, Path()], access: Reader) -> RequestList:
    """Explain a request, by the `x-request-id` of its answer or by its reservation id: what was decided and why, where it went, what it cost.

    Who may see a key may see what it did: users their own requests, org admins those of their org, System Admins any.
    """
    return await service.explain(access, request_id)
