import pytest

from ias import gateway_views
from tests.component.controlplane.world import World


async def test_an_org_gets_a_slug_from_its_name_and_is_found_by_both(world: World) -> None:
    response = await world["root"].call("POST", "/org", {"name": "Données & Science"})
    org = response.json()
    assert org["slug"] == "donnees-science"
    assert response.headers["location"] == f"/api/org/{org['id']}"
    for reference in (org["id"], org["slug"]):
        assert await world["root"].ok("GET", f"/org/{reference}") == org


@pytest.mark.parametrize("slug", ["Alpha", "-a", "a_b", "", "a" * 64, "a\n", "0198c0de-0000-7000-8000-000000000000"])
async def test_a_slug_is_a_dns_label_and_no_id(world: World, slug: str) -> None:
    assert (await world["root"].call("POST", "/org", {"name": "x", "slug": slug})).status_code == 422


async def test_a_taken_slug_is_a_conflict_until_its_org_is_deleted(world: World) -> None:
    refused = await world["root"].call("POST", "/org", {"name": "Another", "slug": "alpha"})
    assert (refused.status_code, refused.json()["code"]) == (409, "slug_taken")
    await world["root"].ok("DELETE", "/org/alpha?purge=true")
    await world["root"].ok("POST", "/org", {"name": "Another", "slug": "alpha"})


async def test_a_deleted_org_stops_with_its_users_and_keys_and_leaves_a_tombstone(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    seen = len(await world.changes())
    await world["root"].ok("DELETE", f"/org/{world.orgs['alpha']}?purge=true")
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401
    assert (await world["root"].call("GET", "/org/alpha")).status_code == 404
    assert await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}") == []
    assert (await world.changes())[seen:] == [("org", str(world.orgs["alpha"]))]
    assert await world.rows("SELECT slug FROM orgs WHERE status = 'deleted'") == [("alpha",)]
    assert (await world["beta-user"].call("GET", "/me")).status_code == 200


async def test_a_generated_password_is_shown_once_and_works(world: World) -> None:
    made = await world["alpha-admin"].ok("POST", "/org/alpha/user", {"username": "Eve@example.org", "role": "org_user"})
    session = await world.http.post("/api/login", json={"username": "eve@example.org", "password": made["initialPassword"]})
    assert session.status_code == 200
    (listed,) = [user for user in (await world["alpha-admin"].ok("GET", "/org/alpha/user"))["items"] if user["id"] == made["id"]]
    assert "initialPassword" not in listed


async def test_a_chosen_password_is_not_repeated(world: World) -> None:
    body = {"username": "eve", "role": "org_admin", "password": "chosen by herself", "email": "eve@example.org"}
    made = await world["alpha-admin"].ok("POST", "/org/alpha/user", body)
    assert made["initialPassword"] is None
    assert (await world.http.post("/api/login", json={"username": "eve", "password": "chosen by herself"})).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [({"password": "too short"}, "password"), ({"username": "a:b"}, "username"), ({"email": "nobody"}, "email"), ({"role": "boss"}, "role")],
)
async def test_a_user_that_makes_no_sense_is_refused(world: World, change: dict[str, str], field: str) -> None:
    response = await world["alpha-admin"].call("POST", "/org/alpha/user", {"username": "eve", "role": "org_user", **change})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert change[field] not in response.text or field == "role"


async def test_user_names_are_unique_in_any_case_over_all_orgs(world: World) -> None:
    refused = await world["alpha-admin"].call("POST", "/org/alpha/user", {"username": "BETA-user", "role": "org_user"})
    assert (refused.status_code, refused.json()["code"]) == (409, "username_taken")


async def test_a_deleted_user_is_out_at_once_and_so_are_the_keys(world: World) -> None:
    made = await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    seen = len(await world.changes())
    user_id = world["alpha-user"].user_id
    await world["alpha-admin"].ok("DELETE", f"/org/alpha/user/{user_id}")
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401
    assert {("user", str(user_id)), ("key", made["id"])} <= set((await world.changes())[seen:])
    assert await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}") == []
    assert (await world["alpha-admin"].call("DELETE", f"/org/alpha/user/{user_id}")).status_code == 404


async def test_nobody_deletes_the_own_account(world: World) -> None:
    response = await world["alpha-admin"].call("DELETE", f"/org/alpha/user/{world['alpha-admin'].user_id}")
    assert (response.status_code, response.json()["code"]) == (409, "cannot_delete_yourself")


@pytest.mark.parametrize(
    "path", ["/org/beta", "/org/{beta}", "/org/beta/user", "/org/beta/key", "/org/beta/audit_log", "/org/no-such", "/org/%00", "/key/not-an-id"]
)
async def test_foreign_and_missing_things_look_the_same(world: World, path: str) -> None:
    response = await world["alpha-admin"].call("GET", path.format(beta=world.orgs["beta"]))
    assert response.status_code == 404
    if path.startswith("/org"):
        assert response.json() == (await world["alpha-admin"].call("GET", "/org/never-existed")).json()


async def test_a_user_cannot_be_deleted_by_way_of_another_org(world: World) -> None:
    response = await world["root"].call("DELETE", f"/org/alpha/user/{world['beta-user'].user_id}")
    assert response.status_code == 404
    assert (await world["beta-user"].call("GET", "/me")).status_code == 200
