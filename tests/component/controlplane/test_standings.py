"""What the cluster says of publications is kept in the database, for every process to show."""

from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.kubernetes.conditions import ACCEPTED, Standing, State
from controlplane.kubernetes.repository import StandingRepository
from controlplane.repository import EVERYTHING
from controlplane.unit_of_work import unit_of_work
from tests.component.controlplane.publications import publish
from tests.component.controlplane.world import Person


async def keep(engine: AsyncEngine, standings: dict[str, Standing]) -> None:
    async with unit_of_work(engine) as uow:
        await StandingRepository(uow, EVERYTHING).keep(standings)


async def shown(root: Person) -> tuple[str | None, str | None]:
    view = await root.ok("GET", "/models/chat/publish")
    return view["gatewayState"], view["gatewayReason"]


async def test_a_publication_shows_what_was_kept_last(root: Person, engine: AsyncEngine) -> None:
    await publish(root)
    assert await shown(root) == (None, None)
    await keep(engine, {"chat": Standing(State.CONFLICT, "kubectl-edit"), "of nobody": ACCEPTED})
    assert await shown(root) == ("conflict", "kubectl-edit")
    await keep(engine, {"chat": ACCEPTED})
    assert await shown(root) == ("accepted", "")
    await keep(engine, {})
    assert await shown(root) == (None, None)
