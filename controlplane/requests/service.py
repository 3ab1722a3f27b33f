"""The explanation of one request."""

from controlplane.api_model import ApiModel
from controlplane.authorization import Access
from controlplane.errors import Problem
from controlplane.requests import schemas
from controlplane.requests.repository import RequestRepository
from controlplane.requests.rules import story_of_admitted, story_of_refused


async def explain(access: Access, given_id: str) -> schemas.RequestList:
    """Tell all that is known of a request id or a reservation id; raise Problem 404 when that is nothing within the reach."""
    repository = RequestRepository(access.uow, access.reach)
    items: list[schemas.AdmittedRequest | schemas.RefusedRequest] = []
    for row in await repository.admitted(given_id):
        told = {"steps": story_of_admitted(row), "charged_tokens": row.input_tokens + row.output_tokens}
        items.append(schemas.AdmittedRequest.model_validate(_only(schemas.AdmittedRequest, schemas.fields_of(row) | told)))
    for row in await repository.refused(given_id):
        told = {"steps": story_of_refused(row)}
        items.append(schemas.RefusedRequest.model_validate(_only(schemas.RefusedRequest, schemas.fields_of(row) | told)))
    if not items:
        raise Problem(
            404,
            "request_not_found",
            "There is no such request, or it is not yours to see. A request is here some seconds after its end. Refused requests are kept as "
            "samples, a minute later: of each key, reason and minute the latest 10; of requests without a valid key none.",
        )
    return schemas.RequestList(items=items)


def _only(view: type[ApiModel], fields: dict[str, object]) -> dict[str, object]:
    return {name: fields[name] for name in view.model_fields if name in fields}
