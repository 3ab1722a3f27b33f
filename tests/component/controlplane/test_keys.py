import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from controlplane.accounts.service import service_identity
from controlplane.keys.service import NewKey, create_key
from controlplane.unit_of_work import unit_of_work
from ias import gateway_views
from ias.apikeys import parse_key
from tests.component.controlplane.world import World


async def test_a_new_key_is_shown_once_and_only_its_digest_is_kept(world: World) -> None:
    response = await world["alpha-user"].call("POST", "/key", {"name": "laptop"})
    assert response.status_code == 201
    made = response.json()
    key = parse_key(made["apiKey"])
    assert key is not None
    assert made["hint"] == key.hint
    assert response.headers["location"] == f"/api/key/{made['id']}"
    shown = await world["alpha-user"].ok("GET", f"/key/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "apiKey"}
    (row,) = await world.rows("SELECT * FROM credentials")
    assert key.matches(row.digest, bytes.fromhex("22" * 32)), "the highest pepper version is the current one"
    assert row.pepper_version == 2
    secret = key.text[-49:]
    for table in ("keys", "credentials", "audit_log", "change_log"):
        assert await world.rows(f"SELECT 1 FROM {table} t WHERE t::text LIKE :secret", secret=f"%{secret}%") == []


async def test_what_the_data_plane_sees_of_a_key_is_what_was_asked_for(world: World, database_url: str) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    body = {
        "name": "ci",
        "labels": {"team": "search"},
        "expiresAt": expires_at.isoformat(),
        "allowedModels": ["llama*", "qwen"],
        "rateLimiting": {"requestsPerMinute": 60, "burstLimit": 5},
    }
    made = await world["alpha-user"].ok("POST", "/key", body)
    connection = await asyncpg.connect(database_url)
    row = dict(await connection.fetchrow(f"SELECT * FROM {gateway_views.CREDENTIALS}") or {})
    await connection.close()
    key = parse_key(made["apiKey"])
    assert key is not None
    row |= {name: json.loads(value) for name, value in row.items() if name.endswith("_limits") or name == "labels"}
    assert row.pop("digest") == key.digest(bytes.fromhex("22" * 32))
    assert row == {
        "credential_id": key.credential_id,
        "pepper_version": 2,
        "valid_until": None,
        "key_id": made["id"],
        "key_active": True,
        "key_expires_at": expires_at,
        "user_id": str(world["alpha-user"].user_id),
        "user_active": True,
        "org_id": str(world.orgs["alpha"]),
        "org_active": True,
        "allowed_models": ["llama*", "qwen"],
        "key_limits": {"requestsPerMinute": 60, "burstLimit": 5, "dryRun": []},
        "user_limits": {"dryRun": []},
        "org_limits": {"dryRun": []},
        "admission_mode": None,
        "outage_tokens": 0,
        "labels": {"team": "search"},
    }


async def test_making_and_revoking_a_key_is_announced_to_the_data_plane(world: World) -> None:
    made = await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    key = parse_key(made["apiKey"])
    assert key is not None
    both = {("key", made["id"]), ("credential", key.credential_id)}
    assert set(await world.changes()) == both
    await world["alpha-user"].ok("DELETE", f"/key/{made['id']}")
    assert set((await world.changes())[2:]) == both
    assert await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}") == []
    assert (await world["alpha-user"].ok("GET", f"/key/{made['id']}"))["status"] == "revoked"


async def test_revoking_twice_is_the_same_as_once(world: World) -> None:
    made = await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    await world["alpha-user"].ok("DELETE", f"/key/{made['id']}")
    first = await world.rows("SELECT revoked_at FROM credentials")
    changes = await world.changes()
    assert (await world["alpha-user"].call("DELETE", f"/key/{made['id']}")).status_code == 204
    assert await world.rows("SELECT revoked_at FROM credentials") == first
    assert await world.changes() == changes


async def test_a_user_has_a_limited_number_of_keys_and_revoked_ones_do_not_count(world: World) -> None:
    made = [await world["alpha-user"].ok("POST", "/key", {"name": f"key {n}"}) for n in range(3)]
    refused = await world["alpha-user"].call("POST", "/key", {"name": "one more"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_keys")
    await world["alpha-user"].ok("DELETE", f"/key/{made[0]['id']}")
    await world["alpha-user"].ok("POST", "/key", {"name": "one more"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x", "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "x", "expiresAt": "2099-01-01T00:00:00"}, "expiresAt"),
        ({"name": "x", "expiresAt": "9999-12-31T23:59:59-14:00"}, "expiresAt"),
        ({"name": "x", "allowedModels": ["a b"]}, "allowedModels.0"),
        ({"name": "x", "labels": {"team": "a,b"}}, "labels.team"),
        ({"name": "x", "labels": {"team": ""}}, "labels.team"),
        ({"name": "x", "labels": {"a b": "c"}}, "labels.a b.[key]"),
        ({"name": "x", "labels": {f"l{n}": "v" for n in range(9)}}, "labels"),
        ({"name": "x", "rateLimiting": {"requestsPerMinute": -1}}, "rateLimiting.requestsPerMinute"),
        ({"name": "x", "rateLimiting": {"burstLimit": 1}}, "rateLimiting"),
        ({"name": "x", "expires_in": 5}, "expires_in"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_by_the_name_of_the_field(world: World, body: object, field: str) -> None:
    response = await world["alpha-user"].call("POST", "/key", body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert await world.changes() == []


async def test_an_org_has_one_service_identity_and_its_keys_carry_the_publication(world: World) -> None:
    org_id = world.orgs["alpha"]
    rules = world.runtime.key_rules
    async with unit_of_work(world.engine) as uow:
        service_id = await service_identity(uow, org_id)
        assert await service_identity(uow, org_id) == service_id
        key_id, api_key = await create_key(uow, org_id, service_id, NewKey("key of a model"), rules)
    (row,) = await world.rows(f"SELECT * FROM {gateway_views.CREDENTIALS}")
    assert (row.credential_id, row.key_id, row.user_id, row.user_active) == (api_key.credential_id, str(key_id), str(service_id), True)
    users = await world["root"].ok("GET", "/org/alpha/user")
    assert str(service_id) not in {user["id"] for user in users["items"]}, "services are no people"


async def test_lists_come_in_pages_newest_first(world: World) -> None:
    made = [(await world["alpha-user"].ok("POST", "/key", {"name": f"key {n}"}))["id"] for n in range(3)]
    first = await world["alpha-user"].ok("GET", "/key?limit=2")
    assert [key["id"] for key in first["items"]] == [made[2], made[1]]
    second = await world["alpha-user"].ok("GET", f"/key?limit=2&cursor={first['nextCursor']}")
    assert [key["id"] for key in second["items"]] == [made[0]]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("cursor", ["x", "AAAA", "\N{SNOWMAN}", "a" * 22 + "!"])
async def test_a_cursor_of_somebody_else_is_refused(world: World, cursor: str) -> None:
    response = await world["alpha-user"].call("GET", "/key", params={"cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")
