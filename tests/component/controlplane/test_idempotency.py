"""A POST under an Idempotency-Key is done once, whoever repeats it and when."""

import asyncio

import httpx2
import pytest
from sqlalchemy import text

from controlplane.idempotency.repository import forget_expired
from tests.component.controlplane.world import World

KEY = "4b0d3c0e-0000-4000-8000-000000000001"


async def post(world: World, who: str, path: str, body: object, key: str = KEY) -> httpx2.Response:
    return await world[who].call("POST", path, body, headers={"idempotency-key": key})


def problem(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_the_answer_comes_again_and_nothing_is_done_twice(world: World) -> None:
    first = await post(world, "root", "/org", {"name": "Acme"})
    again = await post(world, "root", "/org", {"name": "Acme"})
    assert (again.status_code, again.json(), again.headers["location"]) == (201, first.json(), first.headers["location"])
    assert (again.headers["idempotency-replayed"], "idempotency-replayed" in first.headers) == ("true", False)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(await world.rows("SELECT 1 FROM orgs WHERE name = 'Acme'")) == 1
    assert [(row.action_type, row.outcome, row.payload.get("replayed")) for row in await world.audit()] == [
        ("org.create", "ok", None),
        ("org.create", "ok", True),
    ]


async def test_a_secret_is_neither_kept_nor_shown_again(world: World) -> None:
    made = (await post(world, "alpha-user", "/key", {"name": "laptop"})).json()
    again = await post(world, "alpha-user", "/key", {"name": "laptop"})
    assert problem(again) == (409, "secret_already_shown")
    assert again.json()["id"] == made["id"]
    assert made["apiKey"] not in str(await world.rows("SELECT * FROM idempotency_keys"))
    assert len((await world["alpha-user"].ok("GET", "/key"))["items"]) == 1


async def test_a_key_stands_for_one_request_of_one_person(world: World) -> None:
    await post(world, "root", "/org", {"name": "Acme"})
    assert problem(await post(world, "root", "/org", {"name": "Other"})) == (422, "idempotency_key_reused")
    assert (await post(world, "alpha-user", "/key", {"name": "mine"})).status_code == 201
    assert (await post(world, "alpha-admin", "/key", {"name": "mine too"})).status_code == 201


async def test_what_failed_may_be_sent_again(world: World) -> None:
    assert problem(await post(world, "root", "/org", {"name": "Again", "slug": "alpha"})) == (409, "slug_taken")
    assert (await post(world, "root", "/org", {"name": "Again", "slug": "again"})).status_code == 201


async def test_of_many_at_once_one_is_done(world: World) -> None:
    answers = await asyncio.gather(*(post(world, "root", "/org", {"name": "Acme"}) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {problem(answer)[1] for answer in answers if answer.status_code == 409} <= {"idempotency_key_in_use"}
    assert len(await world.rows("SELECT 1 FROM orgs WHERE name = 'Acme'")) == 1


@pytest.mark.parametrize(("age", "outcome"), [("30 seconds", (409, "idempotency_key_in_use")), ("5 minutes", None)])
async def test_a_request_that_never_ended_is_taken_for_dead_after_a_while(world: World, age: str, outcome: tuple[int, str] | None) -> None:
    await post(world, "root", "/org", {"name": "Acme"})
    async with world.engine.begin() as connection:
        await connection.execute(text(f"UPDATE idempotency_keys SET status = NULL, created_at = now() - interval '{age}'"))
    again = await post(world, "root", "/org", {"name": "Acme", "slug": "acme-2"} if outcome is None else {"name": "Acme"})
    assert (again.status_code == 201) if outcome is None else (problem(again) == outcome)


async def test_a_key_is_forgotten_after_a_day(world: World) -> None:
    await post(world, "root", "/org", {"name": "Acme"})
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'"))
    await forget_expired(world.engine)
    assert await world.rows("SELECT 1 FROM idempotency_keys") == []
    assert problem(await post(world, "root", "/org", {"name": "Acme"})) == (409, "slug_taken")


async def test_who_may_no_more_gets_nothing_again(world: World) -> None:
    await post(world, "alpha-admin", "/org/alpha/user", {"username": "eve", "role": "org_user", "password": "a long password"})
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET role = 'org_user' WHERE username = 'alpha-admin'"))
    again = await post(world, "alpha-admin", "/org/alpha/user", {"username": "eve", "role": "org_user", "password": "a long password"})
    assert problem(again) == (403, "forbidden")


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
async def test_what_cannot_be_a_key_is_refused(world: World, key: str) -> None:
    assert problem(await post(world, "root", "/org", {"name": "Acme"}, key)) == (400, "invalid_idempotency_key")
