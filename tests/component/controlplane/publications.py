"""What tests of publishing say often."""

from typing import Any

import httpx2

from tests.component.controlplane.world import Person, World


async def publish(person: Person, name: str = "chat", **config: Any) -> httpx2.Response:
    return await person.call("POST", f"/models/{name}/publish", {"config": {"tenantId": "alpha", **config}})


async def reconciled(world: World) -> None:
    """One round of the background loop."""
    await world.runtime.publisher.reconciler._reconcile()


def set_limits(publication: Any) -> dict[str, int]:
    """The limits that are set, without how tokens are held."""
    return {name: value for name, value in publication["rateLimiting"].items() if isinstance(value, int)}


def problem(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def publications_seen(world: World) -> list[Any]:
    """What extauth reads."""
    return await world.rows("SELECT * FROM gateway_publications_v1 ORDER BY model")


async def usable_keys(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM gateway_credentials_v1")
