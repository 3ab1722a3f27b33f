"""The role matrix of seed 004 §2.2, cell by cell, over the routes: what each role gets in its own org and in another one."""

from typing import Any

import pytest
from fastapi import FastAPI

from tests.component.controlplane.world import World

ACTORS = ("root", "alpha-admin", "alpha-user", "beta-admin")
USER = {"username": "new-person", "role": "org_user"}
LIST_ALL = {"root": 200, "alpha-admin": 200, "alpha-user": 403, "beta-admin": 404}

# Method, path (of alpha's things) and body, then the status for each actor.
CELLS: list[tuple[str, str, Any, dict[str, int]]] = [
    ("GET", "/me", None, {"root": 200, "alpha-admin": 200, "alpha-user": 200, "beta-admin": 200}),
    ("POST", "/org", {"name": "New"}, {"root": 201, "alpha-admin": 403, "alpha-user": 403, "beta-admin": 403}),
    ("GET", "/org", None, {"root": 200, "alpha-admin": 200, "alpha-user": 200, "beta-admin": 200}),
    ("GET", "/org/{org}", None, {"root": 200, "alpha-admin": 200, "alpha-user": 200, "beta-admin": 404}),
    ("DELETE", "/org/{org}", None, {"root": 204, "alpha-admin": 403, "alpha-user": 403, "beta-admin": 403}),
    ("POST", "/org/{org}/user", USER, {"root": 201, "alpha-admin": 201, "alpha-user": 403, "beta-admin": 404}),
    ("GET", "/org/{org}/user", None, LIST_ALL),
    ("DELETE", "/org/{org}/user/{user_id}", None, {"root": 204, "alpha-admin": 204, "alpha-user": 403, "beta-admin": 404}),
    ("POST", "/key", {"name": "mine"}, {"root": 403, "alpha-admin": 201, "alpha-user": 201, "beta-admin": 201}),
    ("GET", "/key", None, {"root": 403, "alpha-admin": 200, "alpha-user": 200, "beta-admin": 200}),
    ("GET", "/org/{org}/key", None, LIST_ALL),
    ("GET", "/key/{key_id}", None, {"root": 200, "alpha-admin": 200, "alpha-user": 404, "beta-admin": 404}),
    ("DELETE", "/key/{key_id}", None, {"root": 204, "alpha-admin": 204, "alpha-user": 404, "beta-admin": 404}),
    ("GET", "/org/{org}/audit_log", None, LIST_ALL),
]


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(("method", "path", "body", "expected"), CELLS, ids=[f"{method} {path}" for method, path, *_ in CELLS])
async def test_cell(world: World, actor: str, method: str, path: str, body: Any, expected: dict[str, int]) -> None:
    colleague = await world["root"].ok("POST", "/org/alpha/user", {"username": "colleague", "role": "org_user", "password": "a colleague's own"})
    key = await world["alpha-admin"].ok("POST", "/key", {"name": "the admin's"})
    response = await world[actor].call(method, path.format(org="alpha", user_id=colleague["id"], key_id=key["id"]), body)
    assert response.status_code == expected[actor], response.text


async def test_an_org_user_sees_and_revokes_the_own_keys_only(world: World) -> None:
    mine = await world["alpha-user"].ok("POST", "/key", {"name": "mine"})
    await world["alpha-admin"].ok("POST", "/key", {"name": "the admin's"})
    listed = await world["alpha-user"].ok("GET", "/key")
    assert [key["id"] for key in listed["items"]] == [mine["id"]]
    assert (await world["alpha-user"].call("DELETE", f"/key/{mine['id']}")).status_code == 204


async def test_an_org_admins_own_list_holds_the_own_keys_only(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "the user's"})
    assert (await world["alpha-admin"].ok("GET", "/key"))["items"] == []
    assert len((await world["alpha-admin"].ok("GET", "/org/alpha/key"))["items"]) == 1


async def test_lists_of_orgs_end_at_the_own_org(world: World) -> None:
    assert {org["slug"] for org in (await world["root"].ok("GET", "/org"))["items"]} == {"alpha", "beta"}
    assert [org["slug"] for org in (await world["beta-user"].ok("GET", "/org"))["items"]] == ["beta"]


async def test_nobody_makes_a_system_admin_or_a_service_by_rest(world: World) -> None:
    for role in ("system_admin", "service"):
        response = await world["root"].call("POST", "/org/alpha/user", {"username": "x", "role": role})
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "role"


async def test_without_a_session_every_route_but_sign_in_answers_401(world: World, app: FastAPI) -> None:
    public = {"/api/login", "/api/admin/login", "/api/validate-api-key"}
    for path, operations in app.openapi()["paths"].items():
        for method in operations if path not in public else ():
            response = await world.http.request(method, path.replace("{", "").replace("}", ""), json={} if method in {"post", "put"} else None)
            assert response.status_code == 401, f"{method} {path}: {response.text}"
