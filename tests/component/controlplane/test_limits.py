"""Limits by REST: what is set is what the data plane sees, and nobody overwrites what he has not read."""

import asyncio
import json
from typing import Any

import pytest

from ias.gateway_views import CREDENTIALS
from tests.component.controlplane.world import World

EVERY = {
    "requestsPerMinute": 60,
    "requestsPerHour": 1_000,
    "tokensPerMinute": 50_000,
    "tokensPerHour": 500_000,
    "burstLimit": 5,
    "concurrentRequests": 3,
    "dryRun": ["tokensPerHour"],
}
NONE = {name: [] if name == "dryRun" else None for name in EVERY}


@pytest.fixture
async def paths(world: World) -> dict[str, str]:
    key = await world["alpha-user"].ok("POST", "/key", {"name": "ci"})
    return {"org": "/org/alpha/limits", "user": f"/user/{world['alpha-user'].user_id}/limits", "key": f"/key/{key['id']}/limits"}


async def seen(world: World, scope: str) -> Any:
    (row,) = await world.rows(f"SELECT {scope}_limits FROM {CREDENTIALS}")
    return row[0] if isinstance(row[0], dict) else json.loads(row[0])


@pytest.mark.parametrize("scope", ["org", "user", "key"])
async def test_what_is_set_is_what_the_data_plane_sees(world: World, paths: dict[str, str], scope: str) -> None:
    root, path = world["root"], paths[scope]
    before = await root.call("GET", path)
    assert {name: before.json()[name] for name in NONE} == NONE
    changes = len(await world.changes())
    made = await root.call("PUT", path, EVERY)
    assert made.status_code == 200, made.text
    assert {name: made.json()[name] for name in EVERY} == EVERY
    assert await seen(world, scope) == EVERY
    assert (await root.call("GET", path)).headers["etag"] == made.headers["etag"] != before.headers["etag"]
    assert await world.changes() == [*(await world.changes())[:changes], (scope, path.split("/")[2] if scope != "org" else str(world.orgs["alpha"]))]


async def test_what_is_left_out_is_lifted(world: World, paths: dict[str, str]) -> None:
    await world["root"].ok("PUT", paths["user"], EVERY)
    await world["root"].ok("PUT", paths["user"], {"requestsPerMinute": 0})
    assert await seen(world, "user") == {"requestsPerMinute": 0, "dryRun": []}
    assert (await world["root"].call("DELETE", paths["user"])).status_code == 204
    assert await seen(world, "user") == {"dryRun": []}


async def test_an_org_says_how_its_tokens_are_held(world: World, paths: dict[str, str]) -> None:
    made = await world["root"].ok("PUT", paths["org"], {"admissionMode": "strict", "outageTokens": 1_000})
    assert (made["admissionMode"], made["outageTokens"]) == ("strict", 1_000)
    (row,) = await world.rows(f"SELECT admission_mode, outage_tokens FROM {CREDENTIALS}")
    assert tuple(row) == ("strict", 1_000)
    await world["root"].ok("DELETE", paths["org"])
    (row,) = await world.rows(f"SELECT admission_mode, outage_tokens FROM {CREDENTIALS}")
    assert tuple(row) == (None, 0)


async def test_limits_given_with_a_new_key_are_its_limits(world: World) -> None:
    key = await world["alpha-user"].ok("POST", "/key", {"name": "ci", "rateLimiting": EVERY})
    assert key["rateLimiting"] == EVERY == await world["alpha-user"].ok("GET", f"/key/{key['id']}/limits")
    await world["alpha-user"].ok("PUT", f"/key/{key['id']}/limits", {"requestsPerMinute": 7})
    assert (await world["alpha-user"].ok("GET", f"/key/{key['id']}"))["rateLimiting"]["requestsPerMinute"] == 7
    (row,) = await world.rows("SELECT requests_per_minute, burst_limit FROM gateway_credentials_v1")
    assert tuple(row) == (7, None), "readers of the version before see it too"


async def test_of_two_who_read_the_same_version_one_writes(world: World, paths: dict[str, str]) -> None:
    root = world["root"]
    tag = (await root.call("GET", paths["user"])).headers["etag"]

    async def put(tokens: int) -> int:
        return (await root.call("PUT", paths["user"], {"tokensPerMinute": tokens}, headers={"if-match": tag})).status_code

    assert sorted(await asyncio.gather(*(put(tokens) for tokens in range(1, 5)))) == [200, 412, 412, 412]
    refused = await root.call("PUT", paths["user"], {}, headers={"if-match": tag})
    assert refused.json()["code"] == "version_conflict"
    current = (await root.call("GET", paths["user"])).headers["etag"]
    for tag in (current, "*"):
        assert (await root.call("PUT", paths["user"], {}, headers={"if-match": tag})).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"requestsPerMinute": -1}, "requestsPerMinute"),
        ({"requestsPerMinute": True}, "requestsPerMinute"),
        ({"requestsPerMinute": 2**31}, "requestsPerMinute"),
        ({"tokensPerMinute": 150_000_000_001}, "tokensPerMinute"),
        ({"tokensPerHour": 2_500_000_001}, "tokensPerHour"),
        ({"burstLimit": 5}, "body"),
        ({"dryRun": ["burstLimit"]}, "dryRun.0"),
        ({"budget": 5}, "budget"),
    ],
)
async def test_limits_that_make_no_sense_are_refused_by_the_name_of_the_field(
    world: World, paths: dict[str, str], body: dict[str, Any], field: str
) -> None:
    response = await world["root"].call("PUT", paths["key"], body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_limits_are_in_the_audit_log_with_their_amounts(world: World, paths: dict[str, str]) -> None:
    user_id = str(world["alpha-user"].user_id)
    await world["root"].ok("PUT", paths["user"], {"tokensPerMinute": 5})
    row = (await world.audit())[-1]
    assert (row.action_type, row.outcome, row.org_id) == ("user_limits.set", "ok", world.orgs["alpha"])
    assert (row.payload["target_user_id"], row.payload["body"]) == (user_id, {"tokensPerMinute": 5})


async def test_there_are_no_limits_of_what_does_not_exist(world: World, paths: dict[str, str]) -> None:
    root = world["root"]
    for path in ("/org/nobody", f"/user/{world.orgs['alpha']}", f"/user/{root.user_id}", f"/key/{world.orgs['alpha']}"):
        assert (await root.call("PUT", f"{path}/limits", {})).status_code == 404, path
