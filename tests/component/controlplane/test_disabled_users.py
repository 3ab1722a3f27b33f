"""A user or a service account that is disabled: out at once, and as before when enabled again."""

import pytest

from ias import gateway_views
from tests.component.controlplane.world import PASSWORD, World


def path(world: World, who: str, verb: str) -> str:
    return f"/org/alpha/user/{world[who].user_id}/{verb}"


async def active_at_the_gateway(world: World) -> list[bool]:
    return [row.user_active for row in await world.rows(f"SELECT user_active FROM {gateway_views.CREDENTIALS}")]


async def sign_in(world: World, who: str) -> int:
    return (await world.http.post("/api/login", json={"username": who, "password": PASSWORD})).status_code


async def test_a_disabled_user_is_out_at_once_with_the_keys_and_comes_back_as_before(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    seen = len(await world.changes())
    disabled = await world["alpha-admin"].ok("POST", path(world, "alpha-user", "disable"))
    assert (disabled["id"], disabled["status"]) == (str(world["alpha-user"].user_id), "disabled")
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401
    assert await sign_in(world, "alpha-user") == 401
    assert await active_at_the_gateway(world) == [False]

    assert (await world["alpha-admin"].ok("POST", path(world, "alpha-user", "enable")))["status"] == "active"
    assert await active_at_the_gateway(world) == [True]
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401, "a session from before came back to life"
    assert await sign_in(world, "alpha-user") == 200
    assert (await world.changes())[seen:] == [("user", disabled["id"])] * 2


async def test_doing_it_twice_changes_nothing_and_the_audit_log_says_what_was_before(world: World) -> None:
    for _ in range(2):
        await world["root"].ok("POST", path(world, "alpha-user", "disable"))
    rows = [row for row in await world.audit() if row.action_type == "user.disable"]
    assert [row.payload["status_before"] for row in rows] == ["active", "disabled"]
    assert {(row.org_id, row.payload["target_user_id"]) for row in rows} == {(world.orgs["alpha"], str(world["alpha-user"].user_id))}
    assert len([change for change in await world.changes() if change == ("user", str(world["alpha-user"].user_id))]) == 1


async def test_an_org_keeps_an_admin_who_can_act(world: World) -> None:
    refused = await world["root"].call("POST", path(world, "alpha-admin", "disable"))
    assert (refused.status_code, refused.json()["code"]) == (409, "last_org_admin")
    await world["root"].ok("PUT", path(world, "alpha-user", "role"), {"role": "org_admin"})
    await world["alpha-user"].ok("POST", path(world, "alpha-admin", "disable"))
    refused = await world["root"].call("DELETE", f"/org/alpha/user/{world['alpha-user'].user_id}")
    assert refused.json()["code"] == "last_org_admin", "the disabled one counts for nothing"
    assert (await world["alpha-admin"].call("GET", "/me")).status_code == 401


async def test_nobody_disables_the_own_account(world: World) -> None:
    refused = await world["alpha-admin"].call("POST", path(world, "alpha-admin", "disable"))
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_disable_yourself")


async def test_a_disabled_person_gets_no_link_for_another_password(world: World) -> None:
    await world.rows("UPDATE users SET email = 'ada@example.com' WHERE username = 'alpha-user' RETURNING id")
    await world["alpha-admin"].ok("POST", path(world, "alpha-user", "disable"))
    assert (await world.http.post("/api/password-reset", json={"username": "ada@example.com"})).status_code == 204
    assert await world.rows("SELECT id FROM password_resets") == []


async def test_a_disabled_service_account_keeps_its_keys_which_stop(world: World) -> None:
    made = await world["alpha-admin"].ok("POST", "/org/alpha/service-account", {"name": "ci-pipeline"})
    key = await world["alpha-admin"].ok("POST", "/key", {"name": "pipeline", "userId": made["id"]})
    for verb, status, active in (("disable", "disabled", False), ("enable", "active", True)):
        shown = await world["alpha-admin"].ok("POST", f"/org/alpha/service-account/{made['id']}/{verb}")
        assert (shown["name"], shown["status"]) == ("ci-pipeline", status)
        assert await active_at_the_gateway(world) == [active]
        valid = (await world.http.post("/api/validate-api-key", json={"apiKey": key["apiKey"]})).json()["valid"]
        assert valid is active


@pytest.mark.parametrize("path", ["/org/alpha/service-account/{user}/disable", "/org/beta/user/{user}/disable"])
async def test_a_person_is_no_service_account_and_of_one_org(world: World, path: str) -> None:
    assert (await world["root"].call("POST", path.format(user=world["alpha-user"].user_id))).status_code == 404
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 200
