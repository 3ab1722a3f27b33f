"""Who may read and set limits and budgets (seed 004 §2.2): an org admin those of the own people and keys, and the org's budget; a user those
of the own keys; a System Admin all. What belongs to somebody else does not exist."""

from typing import Any

import pytest

from tests.component.controlplane.world import World

ACTORS = ("root", "alpha-admin", "alpha-user", "colleague", "beta-admin")
B: dict[str, Any] = {"tokens": 5}
Inc: dict[str, Any] = {"tokens": 5, "until": "2999-01-01T00:00:00Z"}

# Status for root, the org's admin, the user, a colleague of the user, and an admin of another org.
READ_ORG = (200, 200, 200, 200, 404)
READ_OWN = (200, 200, 200, 404, 404)
SET_AS_ADMIN = (200, 200, 403, 403, 404)
LIFT_AS_ADMIN = (204, 204, 403, 403, 404)
SET_OWN = (200, 200, 200, 404, 404)
LIFT_OWN = (204, 204, 204, 404, 404)
ROOT_SETS = (200, 403, 403, 403, 403)
ROOT_LIFTS = (204, 403, 403, 403, 403)

CELLS: list[tuple[str, str, Any, tuple[int, ...]]] = [
    ("GET", "/org/alpha/limits", None, READ_ORG),
    ("PUT", "/org/alpha/limits", {}, ROOT_SETS),
    ("DELETE", "/org/alpha/limits", None, ROOT_LIFTS),
    ("GET", "/user/{user}/limits", None, READ_OWN),
    ("PUT", "/user/{user}/limits", {}, SET_AS_ADMIN),
    ("DELETE", "/user/{user}/limits", None, LIFT_AS_ADMIN),
    ("GET", "/key/{key}/limits", None, READ_OWN),
    ("PUT", "/key/{key}/limits", {}, SET_OWN),
    ("DELETE", "/key/{key}/limits", None, LIFT_OWN),
    ("GET", "/org/alpha/budget", None, READ_ORG),
    ("GET", "/org/alpha/budget/month", None, READ_ORG),
    ("PUT", "/org/alpha/budget/month", B, SET_AS_ADMIN),
    ("DELETE", "/org/alpha/budget/month", None, LIFT_AS_ADMIN),
    ("PUT", "/org/alpha/budget/month/increase", Inc, SET_AS_ADMIN),
    ("DELETE", "/org/alpha/budget/month/increase", None, LIFT_AS_ADMIN),
    ("PUT", "/org/alpha/budget/month/ceiling", {"tokens": 10**6}, ROOT_SETS),
    ("DELETE", "/org/alpha/budget/day/ceiling", None, ROOT_LIFTS),
    ("GET", "/user/{user}/budget", None, READ_OWN),
    ("GET", "/user/{user}/budget/month", None, READ_OWN),
    ("PUT", "/user/{user}/budget/month", B, SET_AS_ADMIN),
    ("PUT", "/user/{user}/budget/month/increase", Inc, SET_AS_ADMIN),
    ("DELETE", "/user/{user}/budget/month", None, LIFT_AS_ADMIN),
    ("GET", "/key/{key}/budget", None, READ_OWN),
    ("GET", "/key/{key}/budget/month", None, READ_OWN),
    ("PUT", "/key/{key}/budget/month", B, SET_OWN),
    ("PUT", "/key/{key}/budget/month/increase", Inc, SET_OWN),
    ("DELETE", "/key/{key}/budget/month", None, LIFT_OWN),
    ("GET", "/org/alpha/budget_alert", None, READ_ORG),
]


@pytest.mark.parametrize("scope", ["org", "user", "key"])
async def test_cells(world: World, scope: str) -> None:
    """All of one scope in one world: what one cell leaves behind does not change who may do what."""
    root, person = world["root"], world["alpha-user"]
    await world.add("colleague", "alpha")
    key = await person.ok("POST", "/key", {"name": "mine"})
    for method, cell, body, expected in CELLS:
        if not cell.startswith(f"/{scope}/"):
            continue
        path = cell.format(user=person.user_id, key=key["id"])
        for actor, status in zip(ACTORS, expected, strict=True):
            if "/budget/" in path:
                await root.ok("PUT", f"{path.partition('/budget')[0]}/budget/month", {"tokens": 10})
            if path.endswith("/ceiling"):
                await root.ok("PUT", "/org/alpha/budget/day/ceiling", {"tokens": 100})
            response = await world[actor].call(method, path, body)
            assert response.status_code == status, f"{actor}: {method} {cell}: {response.text}"
