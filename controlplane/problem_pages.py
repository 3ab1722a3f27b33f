"""Routes that explain the errors of the API: where the `type` of a problem points. For everybody, they hold no data."""

from controlplane import errors
from controlplane.api_model import ApiModel
from controlplane.authorization import PUBLIC
from controlplane.idempotency.route import Router
from controlplane.problems import CATALOGUE, Entry

router = Router(tags=["problems"], dependencies=[PUBLIC])


class ProblemPage(ApiModel):
    """One code explained."""

    code: str
    statuses: list[int]
    meaning: str


class ProblemPages(ApiModel):
    """All codes."""

    items: list[ProblemPage]


@router.get("/problems", name="problem.list")
async def list_problems() -> ProblemPages:
    """List every error code that the API may answer."""
    return ProblemPages(items=[_page(entry) for _, entry in sorted(CATALOGUE.items())])


@router.get("/problems/{code}", name="problem.get")
async def get_problem(code: str) -> ProblemPage:
    """Explain an error code."""
    if (entry := CATALOGUE.get(code)) is None:
        raise errors.not_found("problem")
    return _page(entry)


def _page(entry: Entry) -> ProblemPage:
    return ProblemPage(code=entry.code, statuses=list(entry.statuses), meaning=entry.meaning)
