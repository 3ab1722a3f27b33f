"""What lists hold for each role, and what no role can do. The matrix itself: `test_role_matrix.py`."""

from tests.component.controlplane.world import World


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
