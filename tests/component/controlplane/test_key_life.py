"""A key is changed, disabled, enabled and rotated: what the data plane sees of it, and who may."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.accounts.service import service_identity
from controlplane.unit_of_work import unit_of_work
from ias.apikeys import parse_key
from ias.gateway_views import CREDENTIALS
from tests.component.controlplane.tenants import make_models, make_tenant
from tests.component.controlplane.world import World

PEPPER = bytes.fromhex("22" * 32)


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def credential_id(key: dict[str, Any]) -> str:
    parsed = parse_key(key["apiKey"])
    assert parsed is not None
    return parsed.credential_id


async def valid(world: World) -> dict[str, datetime | None]:
    """What the data plane may take, and until when."""
    rows = await world.rows(f"SELECT credential_id, valid_until FROM {CREDENTIALS} WHERE key_active")
    return {row.credential_id: row.valid_until for row in rows}


@pytest.fixture
async def key(world: World) -> dict[str, Any]:
    made: dict[str, Any] = await world["alpha-user"].ok("POST", "/key", {"name": "ci", "labels": {"team": "search"}})
    return made


async def test_what_is_changed_is_what_the_data_plane_sees(world: World, key: dict[str, Any]) -> None:
    owner, path = world["alpha-user"], f"/key/{key['id']}"
    tag = (await owner.call("GET", path)).headers["etag"]
    expires_at = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    body = {"name": "nightly", "expiresAt": expires_at.isoformat(), "allowedModels": ["gpt-*"], "labels": {"team": "ads", "env": "prod"}}
    before = len(await world.changes())
    changed = await owner.call("PUT", path, body, headers={"if-match": tag})
    assert changed.status_code == 200, changed.text
    assert {name: changed.json()[name] for name in ("name", "allowedModels", "labels")} == {n: body[n] for n in ("name", "allowedModels", "labels")}
    (row,) = await world.rows(f"SELECT key_expires_at, allowed_models, labels FROM {CREDENTIALS}")
    labels = row.labels if isinstance(row.labels, dict) else json.loads(row.labels)
    assert (row.key_expires_at, row.allowed_models, labels) == (expires_at, ["gpt-*"], body["labels"])
    assert (await world.changes())[before:] == [("key", key["id"])]
    assert problem(await owner.call("PUT", path, body, headers={"if-match": tag})) == (412, "version_conflict")
    assert (await owner.ok("PUT", path, {"name": "nightly"}))["labels"] == {}, "what is left out is lifted"
    (row,) = [row for row in await world.audit() if row.action_type == "key.update" and row.outcome == "ok"][:1]
    assert (row.payload["key_id"], row.payload["body"]["labels"]) == (key["id"], body["labels"])


async def test_of_many_who_read_the_same_version_one_writes(world: World, key: dict[str, Any]) -> None:
    owner = world["alpha-user"]
    tag = (await owner.call("GET", f"/key/{key['id']}")).headers["etag"]

    async def put(name: str) -> int:
        return (await owner.call("PUT", f"/key/{key['id']}", {"name": name}, headers={"if-match": tag})).status_code

    assert sorted(await asyncio.gather(*(put(name) for name in "abcd"))) == [200, 412, 412, 412]


async def test_the_past_is_no_new_end_of_a_key(world: World, key: dict[str, Any]) -> None:
    owner, past = world["alpha-user"], "2001-01-01T00:00:00Z"
    refused = await owner.call("PUT", f"/key/{key['id']}", {"name": "x", "expiresAt": past})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expiresAt")
    await world.rows("UPDATE keys SET expires_at = '2001-01-01Z' RETURNING 1")
    expired = await owner.ok("PUT", f"/key/{key['id']}", {"name": "x", "expiresAt": past})
    assert (expired["name"], expired["status"]) == ("x", "expired"), "what ended is still to be named"
    assert problem(await owner.call("POST", f"/key/{key['id']}/rotate")) == (409, "key_expired")


async def test_a_disabled_key_stops_and_works_again_when_enabled(world: World, key: dict[str, Any]) -> None:
    owner, path = world["alpha-user"], f"/key/{key['id']}"
    assert set(await valid(world)) == {credential_id(key)}
    changes = len(await world.changes())
    assert (await owner.ok("POST", f"{path}/disable"))["status"] == "disabled"
    assert await valid(world) == {}
    assert (await owner.ok("POST", f"{path}/disable"))["status"] == "disabled"
    assert (await owner.ok("POST", f"{path}/enable"))["status"] == "active"
    assert set(await valid(world)) == {credential_id(key)}
    assert (await world.changes())[changes:] == [("key", key["id"])] * 2
    await owner.ok("DELETE", path)
    for action in ("disable", "enable", "rotate"):
        assert problem(await owner.call("POST", f"{path}/{action}")) == (409, "key_revoked")
    assert problem(await owner.call("PUT", path, {"name": "x"})) == (409, "key_revoked")


async def test_what_an_admin_has_disabled_stays_disabled(world: World, key: dict[str, Any]) -> None:
    owner, admin, path = world["alpha-user"], world["alpha-admin"], f"/key/{key['id']}"
    await admin.ok("POST", f"{path}/disable")
    await owner.ok("POST", f"{path}/disable")
    assert problem(await owner.call("POST", f"{path}/enable")) == (403, "disabled_by_admin")
    assert (await world.audit())[-1].outcome == "denied"
    assert await valid(world) == {}
    await world["root"].ok("POST", f"{path}/enable")
    assert set(await valid(world)) == {credential_id(key)}


async def test_a_rotated_key_has_two_secrets_until_the_overlap_is_over(world: World, key: dict[str, Any]) -> None:
    owner, path, began = world["alpha-user"], f"/key/{key['id']}", datetime.now(UTC)
    changes = len(await world.changes())
    rotated = await owner.ok("POST", f"{path}/rotate")
    old, new = credential_id(key), credential_id(rotated)
    ends = await valid(world)
    assert ends.keys() == {old, new}
    assert ends[new] is None
    assert ends[old] is not None
    assert timedelta(hours=24) <= ends[old] - began < timedelta(hours=24, seconds=30)
    assert set((await world.changes())[changes:]) == {("credential", old), ("credential", new)}
    assert rotated["hint"] == rotated["credentials"][0]["hint"] != key["hint"]
    assert [one["validUntil"] is None for one in rotated["credentials"]] == [True, False]
    assert (rotated["id"], rotated["labels"]) == (key["id"], key["labels"]), "it is the same key"
    parsed = parse_key(rotated["apiKey"])
    (row,) = await world.rows("SELECT digest FROM credentials WHERE credential_id = :id", id=new)
    assert parsed is not None
    assert parsed.matches(row.digest, PEPPER)
    await world.rows("UPDATE credentials SET valid_until = now() - interval '1 second' WHERE credential_id = :id RETURNING 1", id=old)
    assert set(await valid(world)) == {new}
    assert len((await owner.ok("GET", path))["credentials"]) == 1


async def test_without_an_overlap_the_secrets_before_end_at_once(world: World, key: dict[str, Any]) -> None:
    owner, path = world["alpha-user"], f"/key/{key['id']}/rotate"
    second = await owner.ok("POST", path, {"overlapSeconds": 60})
    third = await owner.ok("POST", path, {"overlapSeconds": 60})
    assert problem(await owner.call("POST", path)) == (409, "too_many_credentials")
    assert set(await valid(world)) == {credential_id(one) for one in (key, second, third)}
    last = await owner.ok("POST", path, {"overlapSeconds": 0})
    assert set(await valid(world)) == {credential_id(last)}
    for overlap in (-1, 31 * 86_400, 1.5, "60"):
        assert (await owner.call("POST", path, {"overlapSeconds": overlap})).status_code == 422, overlap


async def test_rotating_and_revoking_at_once_leaves_no_living_secret_of_a_revoked_key(world: World, key: dict[str, Any]) -> None:
    owner, path = world["alpha-user"], f"/key/{key['id']}"
    calls = [owner.call("POST", f"{path}/rotate", {"overlapSeconds": 0}) for _ in range(3)] + [owner.call("DELETE", path)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers[:3]} <= {200, 409}
    assert answers[3].status_code == 204
    assert await world.rows("SELECT 1 FROM credentials WHERE revoked_at IS NULL") == []
    assert await valid(world) == {}


async def test_only_who_would_act_by_it_gets_the_new_secret(world: World, key: dict[str, Any]) -> None:
    path = f"/key/{key['id']}/rotate"
    assert problem(await world["alpha-admin"].call("POST", path)) == (404, "key_not_found"), "not even the admin acts as a person"
    assert problem(await world["root"].call("POST", path)) == (403, "forbidden")
    assert problem(await world["beta-admin"].call("POST", path)) == (404, "key_not_found")
    await world.add("colleague", "alpha")
    assert problem(await world["colleague"].call("POST", path)) == (404, "key_not_found")
    assert set(await valid(world)) == {credential_id(key)}


async def test_an_org_admin_holds_the_keys_of_service_accounts(world: World) -> None:
    async with unit_of_work(world.engine) as uow:
        service_id = str(await service_identity(uow, world.orgs["alpha"]))
    body = {"name": "pipeline", "userId": service_id}
    made = await world["alpha-admin"].ok("POST", "/key", body)
    assert made["userId"] == service_id
    assert set(await valid(world)) == {credential_id(made)}
    rotated = await world["alpha-admin"].ok("POST", f"/key/{made['id']}/rotate", {"overlapSeconds": 0})
    assert set(await valid(world)) == {credential_id(rotated)}
    assert problem(await world["alpha-user"].call("POST", "/key", body)) == (403, "forbidden")
    assert problem(await world["alpha-user"].call("POST", f"/key/{made['id']}/rotate")) == (404, "key_not_found")
    assert problem(await world["beta-admin"].call("POST", "/key", body)) == (404, "service_account_not_found")
    for person in (world["alpha-user"].user_id, world["beta-user"].user_id, world["root"].user_id):
        refused = await world["alpha-admin"].call("POST", "/key", {"name": "x", "userId": str(person)})
        assert problem(refused) == (404, "service_account_not_found")


async def test_the_key_of_a_publication_is_rotated_as_the_guide_does_it(world: World) -> None:
    tenant = await make_tenant(world.engine)
    await make_models(world.engine, tenant)
    path, before = "/models/served-model/publish/rotate-key", await valid(world)
    first = await world["root"].ok("POST", path)
    second = await world["root"].ok("POST", path)
    assert (await valid(world)).keys() - before.keys() == {credential_id(first), credential_id(second)}
    third = await world["root"].ok("POST", path, {"overlapSeconds": 0})
    assert (await valid(world)).keys() - before.keys() == {credential_id(third)}
    assert problem(await world["root"].call("POST", "/models/other/publish/rotate-key")) == (404, "NOT_PUBLISHED")
    assert problem(await world["alpha-admin"].call("POST", path)) == (403, "forbidden")
