"""Sessions of browsers and of tokens: how they begin, what they allow, how they end."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from controlplane.app import application
from controlplane.settings import ApiSettings
from tests.component.controlplane.world import PASSWORD, World, cheap_passwords


async def sign_in(http: httpx2.AsyncClient, username: str = "alpha-user", session: str = "cookie", password: str = PASSWORD) -> httpx2.Response:
    return await http.post("/api/login", json={"username": username, "password": password, "session": session})


@pytest.fixture
async def browser(world: World, app: FastAPI) -> Any:
    """A client that keeps cookies, signed in as `alpha-user`; its CSRF token is `browser.headers`' business."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.8", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
        http.headers["x-csrf-token"] = (await sign_in(http)).json()["csrfToken"]
        yield http


async def token(world: World, username: str = "alpha-user") -> dict[str, str]:
    return {"authorization": f"Bearer {(await sign_in(world.http, username, 'token')).json()['token']}"}


async def test_a_cookie_session_has_no_token_and_a_cookie_that_scripts_cannot_read(world: World) -> None:
    response = await sign_in(world.http)
    assert response.json()["token"] is None
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("ias_session=")
    assert {part.strip().split("=")[0] for part in cookie.split(";")[1:]} == {"HttpOnly", "Max-Age", "Path", "SameSite"}
    assert "SameSite=lax" in cookie
    ((kept,),) = await world.rows("SELECT secret_hash FROM sessions WHERE kind = 'cookie'")
    assert cookie.split("=")[1].split(";")[0].encode() not in bytes(kept)
    world.http.cookies.clear()


async def test_with_https_the_cookie_is_secure_and_bound_to_its_host(database_url: str, world: World) -> None:
    settings = ApiSettings(database_url=database_url, peppers={1: "11" * 32}, token_secret="s" * 32, public_url="https://ias.example")
    async with (
        application(settings, cheap_passwords()) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="https://ias.example") as http,
    ):
        cookie = (await sign_in(http)).headers["set-cookie"]
        assert cookie.startswith("__Host-ias_session=")
        assert "; Secure" in cookie
        assert (await http.get("/api/me")).status_code == 200


async def test_a_page_that_was_loaded_anew_finds_its_session(browser: httpx2.AsyncClient) -> None:
    session = (await browser.get("/api/session")).json()
    assert session["csrfToken"] == browser.headers["x-csrf-token"]
    assert session["user"]["username"] == "alpha-user"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("given", [None, "", "wrong", "é"])
async def test_a_write_by_cookie_needs_the_token_of_the_session(browser: httpx2.AsyncClient, world: World, method: str, given: str | None) -> None:
    paths = {"POST": "/api/key", "DELETE": "/api/session", "PUT": "/api/org/alpha/limits"}
    del browser.headers["x-csrf-token"]
    headers = {} if given is None else {"x-csrf-token": given.encode()}
    refused = await browser.request(method, paths[method], headers=headers, json={"name": "x"} if method != "DELETE" else None)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_token_invalid")
    assert (await browser.get("/api/key")).json()["items"] == []
    assert [row.outcome for row in (await world.audit())[1:]] == ["denied"]


async def test_the_token_of_another_session_does_not_help(browser: httpx2.AsyncClient, world: World) -> None:
    other = (await sign_in(world.http)).json()["csrfToken"]
    world.http.cookies.clear()
    refused = await browser.post("/api/key", json={"name": "x"}, headers={"x-csrf-token": other})
    assert refused.json()["code"] == "csrf_token_invalid"
    assert (await browser.post("/api/key", json={"name": "x"})).status_code == 201


async def test_a_bearer_needs_no_such_token_and_the_cookie_beside_it_counts_for_nothing(browser: httpx2.AsyncClient, world: World) -> None:
    del browser.headers["x-csrf-token"]
    as_admin = await token(world, "alpha-admin")
    assert (await browser.post("/api/key", json={"name": "x"}, headers=as_admin)).status_code == 201
    assert (await browser.get("/api/me", headers=as_admin)).json()["username"] == "alpha-admin"
    assert (await browser.get("/api/me", headers={"authorization": "Bearer nonsense"})).status_code == 401


async def test_a_browser_that_is_idle_is_out_and_one_that_is_busy_stays(browser: httpx2.AsyncClient, world: World) -> None:
    await world.rows("UPDATE sessions SET idle_until = now() + interval '1 s' WHERE kind = 'cookie' RETURNING id")
    assert (await browser.get("/api/me")).status_code == 200
    ((left,),) = await world.rows("SELECT idle_until > now() + interval '20 minutes' FROM sessions WHERE kind = 'cookie'")
    assert left
    await world.rows("UPDATE sessions SET idle_until = now() WHERE kind = 'cookie' RETURNING id")
    assert (await browser.get("/api/me")).json()["code"] == "invalid_token"


async def test_no_session_outlives_its_absolute_end(browser: httpx2.AsyncClient, world: World) -> None:
    mine = await token(world)
    await world.rows("UPDATE sessions SET expires_at = now() RETURNING id")
    assert (await browser.get("/api/me")).status_code == 401
    assert (await world.http.get("/api/me", headers=mine)).status_code == 401


@pytest.mark.parametrize("kind", ["cookie", "token"])
async def test_signing_out_ends_this_session_and_no_other(browser: httpx2.AsyncClient, world: World, kind: str) -> None:
    mine, another = await token(world), await token(world)
    if kind == "cookie":
        kept = dict(browser.cookies)
        out = await browser.delete("/api/session")
        assert "Max-Age=0" in out.headers["set-cookie"]
        browser.cookies.update(kept)
        assert (await browser.get("/api/me")).status_code == 401
    else:
        out = await world.http.delete("/api/session", headers=mine)
        assert (await world.http.get("/api/me", headers=mine)).status_code == 401
        assert (await browser.get("/api/me")).status_code == 200
    assert out.status_code == 204
    assert (await world.http.get("/api/me", headers=another)).status_code == 200


async def test_signing_out_everywhere_ends_all_sessions_of_the_user_only(browser: httpx2.AsyncClient, world: World) -> None:
    mine = await token(world)
    assert (await world.http.delete("/api/session?everywhere=true", headers=mine)).status_code == 204
    assert (await world.http.get("/api/me", headers=mine)).status_code == 401
    assert (await browser.get("/api/me")).status_code == 401
    assert (await world["alpha-admin"].call("GET", "/me")).status_code == 200
    assert (await sign_in(world.http, session="token")).status_code == 200


async def test_a_token_can_be_renewed_until_its_session_ends(world: World) -> None:
    mine = await token(world)
    await world.rows("UPDATE sessions SET expires_at = date_trunc('second', now()) + interval '10 minutes' RETURNING id")
    renewed = (await world.http.post("/api/session/renew", headers=mine)).json()
    ((end,),) = await world.rows("SELECT DISTINCT expires_at FROM sessions")
    assert renewed["expiresAt"] == end.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (await world.http.get("/api/me", headers={"authorization": f"Bearer {renewed['token']}"})).status_code == 200


async def test_a_cookie_is_not_turned_into_a_token(browser: httpx2.AsyncClient) -> None:
    assert (await browser.post("/api/session/renew")).json()["code"] == "session_is_a_cookie"


async def test_changing_the_password_ends_all_other_sessions(browser: httpx2.AsyncClient, world: World) -> None:
    mine = await token(world)
    body = {"currentPassword": PASSWORD, "newPassword": "another battery, another horse"}
    assert (await browser.post("/api/me/password", json=body)).status_code == 204
    assert (await browser.get("/api/me")).status_code == 200
    assert (await world.http.get("/api/me", headers=mine)).status_code == 401
    assert (await sign_in(world.http, session="token")).status_code == 401
    assert (await sign_in(world.http, session="token", password=body["newPassword"])).status_code == 200
    (row,) = [row for row in await world.audit() if row.action_type == "password.change"]
    assert row.payload["body"] == {"currentPassword": "***", "newPassword": "***"}


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("not the password", "another battery", 403, "wrong_password"),
        (PASSWORD, "short", 422, "invalid_request"),
        (PASSWORD, PASSWORD, 422, "invalid_request"),
    ],
)
async def test_a_password_that_cannot_be_changed_stays(world: World, current: str, new: str, status: int, code: str) -> None:
    refused = await world["alpha-user"].call("POST", "/me/password", {"currentPassword": current, "newPassword": new})
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (await sign_in(world.http, session="token")).status_code == 200


async def test_a_stolen_session_cannot_guess_the_password(world: World) -> None:
    body = {"currentPassword": "a guess", "newPassword": "another battery"}
    statuses = [(await world["alpha-user"].call("POST", "/me/password", body)).status_code for _ in range(6)]
    assert statuses == [403] * 5 + [429]


async def own(http: httpx2.AsyncClient, headers: dict[str, str]) -> list[Any]:
    items: list[Any] = (await http.get("/api/me/session", headers=headers)).json()["items"]
    return items


async def test_people_see_their_sessions_and_end_one_of_them(browser: httpx2.AsyncClient, world: World) -> None:
    mine = {**await token(world), "user-agent": "elsewhere"}
    listed = await own(world.http, mine)
    assert [(one["kind"], one["current"]) for one in listed] == [("token", True), ("cookie", False), ("token", False)]
    assert listed[1]["userAgent"] == world.http.headers["user-agent"]
    assert {one["lastUsedAt"] is None for one in listed} == {False}
    assert (await world.http.delete(f"/api/me/session/{listed[1]['id']}", headers=mine)).status_code == 204
    assert (await browser.get("/api/me")).status_code == 401
    assert [one["id"] for one in await own(world.http, mine)] == [listed[0]["id"], listed[2]["id"]]
    again = await world.http.delete(f"/api/me/session/{listed[1]['id']}", headers=mine)
    assert (again.status_code, again.json()["code"]) == (404, "session_not_found")
    rows = [row for row in await world.audit() if row.action_type == "session.end"]
    assert [(row.outcome, row.payload["path"]) for row in rows] == [(how, f"/api/me/session/{listed[1]['id']}") for how in ("ok", "failed")]


async def test_nobody_sees_or_ends_the_session_of_another(world: World) -> None:
    theirs = (await own(world.http, world["alpha-user"].headers))[0]["id"]
    for stranger in ("alpha-admin", "root", "beta-user"):
        assert theirs not in [one["id"] for one in await own(world.http, world[stranger].headers)]
        assert (await world[stranger].call("DELETE", f"/me/session/{theirs}")).status_code == 404
    assert (await world["alpha-user"].call("GET", "/me")).status_code == 200


async def test_sessions_that_are_over_are_not_listed(browser: httpx2.AsyncClient, world: World) -> None:
    mine = await token(world)
    await world.rows("UPDATE sessions SET idle_until = now() WHERE kind = 'cookie' RETURNING id")
    assert [one["kind"] for one in await own(world.http, mine)] == ["token", "token"]
    await world.rows("UPDATE sessions SET generation = generation - 1 WHERE user_id = :id RETURNING id", id=world["alpha-user"].user_id)
    new = await token(world)
    assert [one["current"] for one in await own(world.http, new)] == [True]


async def test_the_use_of_a_session_is_noted_once_in_a_while(world: World) -> None:
    await world.rows("UPDATE sessions SET last_used_at = now() - interval '1 hour' RETURNING id")
    await world["alpha-user"].ok("GET", "/me")
    ((first,),) = await world.rows("SELECT last_used_at FROM sessions WHERE last_used_at > now() - interval '1 minute'")
    await world["alpha-user"].ok("GET", "/me")
    assert await world.rows("SELECT last_used_at FROM sessions WHERE last_used_at > now() - interval '1 minute'") == [(first,)]


async def test_a_session_of_the_version_before_goes_on(world: World) -> None:
    await world.rows("UPDATE sessions SET last_used_at = NULL, user_agent = NULL RETURNING id")
    (shown,) = await own(world.http, world["alpha-user"].headers)
    assert (shown["userAgent"], shown["lastUsedAt"] is None) == (None, False)


async def test_what_ended_is_removed(world: World) -> None:
    from controlplane.repository import EVERYTHING
    from controlplane.sign_in.repository import SessionRepository
    from controlplane.unit_of_work import unit_of_work

    await sign_in(world.http, session="token", password="wrong")
    ((now,),) = await world.rows("SELECT now() + interval '2 hours'")
    async with unit_of_work(world.engine) as uow:
        await SessionRepository(uow, EVERYTHING).clean(now)
    assert await world.rows("SELECT * FROM sign_in_attempts") == []
    assert len(await world.rows("SELECT * FROM sessions")) == 5  # those of the world: they last for twelve hours
