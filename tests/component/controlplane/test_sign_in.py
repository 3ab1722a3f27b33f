import asyncio
from typing import Any

import httpx2
import pytest

from controlplane.app import application
from controlplane.settings import ApiSettings
from tests.component.controlplane.world import PASSWORD, World, cheap_passwords


async def sign_in(world: World, username: str, password: str, path: str = "/api/login") -> Any:
    return await world.http.post(path, json={"username": username, "password": password})


@pytest.mark.parametrize("path", ["/api/login", "/api/admin/login"])
async def test_the_right_password_begins_a_session_that_works(world: World, path: str) -> None:
    response = await sign_in(world, "ALPHA-user", PASSWORD, path)
    assert response.status_code == 200
    session = response.json()
    assert session["tokenType"] == "Bearer"
    assert session["expiresAt"].endswith("Z")
    assert session["user"] == {
        "id": str(world["alpha-user"].user_id),
        "username": "alpha-user",
        "role": "org_user",
        "orgId": str(world.orgs["alpha"]),
    }
    me = await world.http.get("/api/me", headers={"authorization": f"Bearer {session['token']}"})
    assert me.json() == session["user"]


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(world: World) -> None:
    wrong, unknown = await sign_in(world, "root", "not the password"), await sign_in(world, "nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "invalid_credentials"


@pytest.mark.parametrize("status", ["disabled", "deleted"])
async def test_a_user_who_is_not_active_cannot_sign_in_and_an_old_session_ends(world: World, status: str) -> None:
    await world.rows("UPDATE users SET status = :status WHERE username = 'alpha-user' RETURNING id", status=status)
    assert (await sign_in(world, "alpha-user", PASSWORD)).status_code == 401
    assert (await world["alpha-user"].call("GET", "/me")).json()["code"] == "invalid_token"


async def test_the_users_of_a_suspended_org_are_out(world: World) -> None:
    await world.rows("UPDATE orgs SET status = 'suspended' WHERE slug = 'alpha' RETURNING id")
    assert (await sign_in(world, "alpha-user", PASSWORD)).status_code == 401
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401
    assert (await world["beta-user"].call("GET", "/me")).status_code == 200


async def test_raising_the_token_generation_ends_sessions(world: World) -> None:
    await world.rows("UPDATE users SET token_generation = 1 WHERE username = 'alpha-user' RETURNING id")
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 401


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic cm9vdDp4", "Bearer " + "a" * 5000])
async def test_what_is_not_a_token_gets_401_and_says_how_to_get_one(world: World, authorization: str) -> None:
    response = await world.http.get("/api/me", headers={"authorization": authorization} if authorization else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["code"] == "invalid_token"


async def test_a_password_that_is_no_text_is_refused_by_the_name_of_the_field(world: World) -> None:
    response = await world.http.post("/api/login", content=b'{"username":"root","password":"\\ud800"}', headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["password"]


async def test_guessing_is_slowed_down_for_the_account_but_not_for_others(world: World) -> None:
    statuses = [(await sign_in(world, "root", f"guess number {n}")).status_code for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = await sign_in(world, "root", PASSWORD)
    assert refused.json()["code"] == "too_many_attempts"
    assert int(refused.headers["retry-after"]) >= 1
    assert (await sign_in(world, "alpha-user", PASSWORD)).status_code == 200


async def test_a_failed_sign_in_is_audited_without_the_password_and_seen_by_the_org(world: World) -> None:
    await sign_in(world, "alpha-user", "not the password")
    (row,) = await world.audit()
    assert (row.action_type, row.outcome, row.org_id, row.user_id_performing_action) == ("session.create", "denied", world.orgs["alpha"], None)
    assert row.payload["body"] == {"username": "alpha-user", "password": "***"}


async def test_a_password_hashed_with_old_parameters_is_hashed_anew(world: World) -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    await world.rows("UPDATE users SET password_hash = :old WHERE username = 'root' RETURNING id", old=old)
    assert (await sign_in(world, "root", PASSWORD)).status_code == 200
    ((stored,),) = await world.rows("SELECT password_hash FROM users WHERE username = 'root'")
    assert stored != old
    assert (await sign_in(world, "root", PASSWORD)).status_code == 200


async def test_an_email_address_is_as_good_as_the_name_while_one_account_has_it(world: World) -> None:
    await world.rows("UPDATE users SET email = 'Eve@example.org' WHERE username = 'alpha-user' RETURNING id")
    assert (await sign_in(world, "eve@EXAMPLE.org", PASSWORD)).json()["user"]["username"] == "alpha-user"
    await world.rows("UPDATE users SET email = 'eve@example.org' WHERE username = 'beta-user' RETURNING id")
    assert (await sign_in(world, "eve@example.org", PASSWORD)).status_code == 401
    assert (await sign_in(world, "beta-user", PASSWORD)).status_code == 200


async def test_two_replicas_count_guesses_together_even_when_they_come_at_once(world: World, database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, peppers={1: "11" * 32}, token_secret="s" * 32)
    async with application(settings, cheap_passwords()) as app:
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.7", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as other:
            body = {"username": "root", "password": "a guess"}
            clients = [world.http, other] * 6
            answers = await asyncio.gather(*(client.post("/api/login", json=body) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_the_address_behind_a_trusted_proxy_is_the_clients(world: World, database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, peppers={1: "11" * 32}, token_secret="s" * 32, trusted_proxies="10.0.0.0/8, fd00::/8")
    async with application(settings, cheap_passwords()) as app:
        transport = httpx2.ASGITransport(app=app, client=("10.1.2.3", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
            for forwarded in ("203.0.113.1", "198.51.100.1, 203.0.113.2"):
                await http.post("/api/login", json={"username": "root", "password": "x"}, headers={"x-forwarded-for": forwarded})
    await world.http.post("/api/login", json={"username": "root", "password": "x"}, headers={"x-forwarded-for": "203.0.113.3"})
    assert [row.client_address for row in await world.audit()] == ["203.0.113.1", "203.0.113.2", "192.0.2.7"]
