"""An org's life: renamed, suspended, deleted with time to restore it; its admins and those of the system, its service accounts."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from controlplane.orgs.upkeep import purge_due
from ias import gateway_views
from tests.component.controlplane.world import PASSWORD, World

ACTIVE = f"SELECT org_active FROM {gateway_views.CREDENTIALS}"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_an_org_is_renamed_by_whoever_has_seen_its_version(world: World) -> None:
    read = await world["root"].call("GET", "/org/alpha")
    seen = {"if-match": read.headers["etag"]}
    renamed = await world["root"].call("PUT", "/org/alpha", {"name": "Alpha & Sons"}, headers=seen)
    assert (renamed.json()["name"], renamed.json()["slug"]) == ("Alpha & Sons", "alpha")
    assert renamed.headers["etag"] != read.headers["etag"]
    late = await world["root"].call("PUT", "/org/alpha", {"name": "Too late"}, headers=seen)
    assert (late.status_code, late.json()["code"]) == (412, "version_conflict")


async def test_a_suspended_org_is_out_everywhere_until_it_is_resumed(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    seen = len(await world.changes())
    assert (await world["root"].ok("POST", "/org/alpha/suspend"))["status"] == "suspended"
    assert await world.rows(ACTIVE) == [(False,)]
    assert (await world.changes())[seen:] == [("org", str(world.orgs["alpha"]))]
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401
    assert (await world.http.post("/api/login", json={"username": "alpha-user", "password": PASSWORD})).status_code == 401
    await world["root"].ok("POST", "/org/alpha/suspend")
    assert len(await world.changes()) == seen + 1, "nothing changed by the second"
    assert (await world["root"].ok("POST", "/org/alpha/resume"))["status"] == "active"
    assert await world.rows(ACTIVE) == [(True,)]
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 200


async def test_a_deleted_org_stops_at_once_and_comes_back_whole(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    await world["root"].ok("DELETE", "/org/alpha")
    org = await world["root"].ok("GET", "/org/alpha")
    assert org["status"] == "deleting"
    assert org["purgeAt"] > org["createdAt"]
    assert await world.rows(ACTIVE) == [(False,)]
    assert (await world["alpha-admin"].call("GET", "/me")).status_code == 401
    assert (await world["root"].call("POST", "/org", {"name": "x", "slug": "alpha"})).json()["code"] == "slug_taken"
    for step in ("suspend", "resume"):
        assert (await world["root"].call("POST", f"/org/alpha/{step}")).json()["code"] == "wrong_org_status"
    restored = await world["root"].ok("POST", "/org/alpha/restore")
    assert (restored["status"], restored["purgeAt"]) == ("active", None)
    assert await world.rows(ACTIVE) == [(True,)]
    assert (await world["alpha-admin"].call("GET", "/me")).status_code == 200


async def test_deleting_again_keeps_the_date_and_purging_ends_the_wait(world: World) -> None:
    await world["root"].ok("DELETE", "/org/alpha")
    date = (await world["root"].ok("GET", "/org/alpha"))["purgeAt"]
    await world["root"].ok("DELETE", "/org/alpha")
    assert (await world["root"].ok("GET", "/org/alpha"))["purgeAt"] == date
    await world["root"].ok("DELETE", "/org/alpha?purge=true")
    assert (await world["root"].call("POST", "/org/alpha/restore")).status_code == 404
    assert (await world["root"].call("GET", "/org/alpha")).status_code == 404


async def test_when_its_time_is_over_an_org_is_gone_once_and_its_usage_stays(world: World) -> None:
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    await world["root"].ok("DELETE", "/org/alpha")
    async with world.engine.connect() as connection:
        now = (await connection.execute(select(func.now()))).scalar_one()
    assert await purge_due(world.engine, now) == 0
    later = now + timedelta(days=8)
    assert sum(await asyncio.gather(*(purge_due(world.engine, later) for _ in range(3)))) == 1
    assert (await world["root"].call("GET", "/org/alpha")).status_code == 404
    assert await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}") == []
    assert {row.status for row in await world.rows("SELECT status FROM users WHERE org_id = :id", id=world.orgs["alpha"])} == {"deleted"}
    await world["root"].ok("POST", "/org", {"name": "Another", "slug": "alpha"})
    assert [(row.outcome, row.org_id) for row in await world.audit() if row.action_type == "org.purge"] == [("ok", world.orgs["alpha"])]


async def test_a_role_holds_from_the_next_request_on(world: World) -> None:
    path = f"/org/alpha/user/{world['alpha-user'].user_id}"
    assert (await world["alpha-user"].call("GET", "/org/alpha/user")).status_code == 403
    assert (await world["alpha-admin"].ok("PUT", f"{path}/role", {"role": "org_admin"}))["role"] == "org_admin"
    assert (await world["alpha-user"].call("GET", "/org/alpha/user")).status_code == 200
    assert (await world["alpha-user"].ok("GET", path))["role"] == "org_admin"
    row = (await world.audit())[-1]
    assert (row.action_type, row.payload["role_before"]) == ("user.change_role", "org_user")


@pytest.mark.parametrize("who", ["root", "alpha-admin"])
async def test_an_org_keeps_an_admin(world: World, who: str) -> None:
    path = f"/org/alpha/user/{world['alpha-admin'].user_id}"
    assert (await world[who].call("PUT", f"{path}/role", {"role": "org_user"})).json()["code"] == "last_org_admin"
    assert (await world["root"].call("DELETE", path)).json()["code"] == "last_org_admin"
    await world["root"].ok("PUT", f"/org/alpha/user/{world['alpha-user'].user_id}/role", {"role": "org_admin"})
    await world[who].ok("PUT", f"{path}/role", {"role": "org_user"})


async def test_two_admins_cannot_demote_each_other_at_once(world: World) -> None:
    paths = [f"/org/alpha/user/{world[name].user_id}/role" for name in ("alpha-admin", "alpha-user")]
    await world["root"].ok("PUT", paths[1], {"role": "org_admin"})
    answers = await asyncio.gather(*(world["root"].call("PUT", path, {"role": "org_user"}) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_service_account_has_keys_and_no_way_to_sign_in(world: World) -> None:
    made = await world["alpha-admin"].ok("POST", "/org/alpha/service-account", {"name": "ci-pipeline"})
    key = await world["alpha-admin"].ok("POST", "/key", {"name": "deploy", "userId": made["id"]})
    assert key["userId"] == made["id"]
    assert [one["name"] for one in (await world["root"].ok("GET", "/org/alpha/service-account"))["items"]] == ["ci-pipeline"]
    again = await world["alpha-admin"].call("POST", "/org/alpha/service-account", {"name": "CI-pipeline"})
    assert again.json()["code"] == "service_account_exists"
    await world["beta-admin"].ok("POST", "/org/beta/service-account", {"name": "ci-pipeline"})
    for name in ("ci-pipeline", f"service:{world.orgs['alpha']}:ci-pipeline"):
        assert (await world.http.post("/api/login", json={"username": name, "password": "x"})).status_code == 401
    assert made["id"] not in {user["id"] for user in (await world["alpha-admin"].ok("GET", "/org/alpha/user"))["items"]}
    await world["alpha-admin"].ok("DELETE", f"/org/alpha/service-account/{made['id']}")
    assert await world.rows("SELECT status FROM keys") == [("revoked",)], "whatever becomes of the account, the key is at its end"
    assert await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}") == []
    assert (await world["alpha-admin"].call("DELETE", f"/org/alpha/service-account/{made['id']}")).status_code == 404


async def test_the_identity_of_publications_is_no_account_to_delete(world: World) -> None:
    from controlplane.accounts.service import service_identity
    from controlplane.unit_of_work import unit_of_work

    await world["alpha-admin"].ok("POST", "/org/alpha/service-account", {"name": "ci-pipeline"})
    async with unit_of_work(world.engine) as uow:
        first = await service_identity(uow, world.orgs["alpha"])
        assert await service_identity(uow, world.orgs["alpha"]) == first
    assert len((await world["alpha-admin"].ok("GET", "/org/alpha/service-account"))["items"]) == 1
    assert (await world["alpha-admin"].call("DELETE", f"/org/alpha/service-account/{first}")).status_code == 404


async def test_one_system_admin_is_always_left(world: World) -> None:
    made = await world["root"].ok("POST", "/system-admin", {"username": "second"})
    session = (await world.http.post("/api/login", json={"username": "second", "password": made["initialPassword"]})).json()
    second = {"authorization": f"Bearer {session['token']}"}
    assert {one["username"] for one in (await world["root"].ok("GET", "/system-admin"))["items"]} == {"root", "second"}
    root = f"/system-admin/{world['root'].user_id}"
    assert (await world["root"].call("DELETE", root)).json()["code"] == "cannot_delete_yourself"
    assert (await world["root"].call("DELETE", f"/system-admin/{world['alpha-admin'].user_id}")).json()["code"] == "system_admin_not_found"
    async with world.engine.connect() as holder:  # until both have been authenticated and wait for each other
        await holder.execute(text("SELECT id FROM users WHERE role = 'system_admin' FOR UPDATE"))
        calls = world["root"].call("DELETE", f"/system-admin/{made['id']}"), world.http.delete(f"/api{root}", headers=second)
        both = [asyncio.create_task(call) for call in calls]
        async with asyncio.timeout(8):
            while await world.rows(WAITING) != [(2,)]:  # noqa: ASYNC110  # PostgreSQL tells nobody
                await asyncio.sleep(0.01)
    assert sorted(answer.status_code for answer in await asyncio.gather(*both)) == [204, 401]
    assert len(await world.rows("SELECT id FROM users WHERE role = 'system_admin' AND status <> 'deleted'")) == 1
