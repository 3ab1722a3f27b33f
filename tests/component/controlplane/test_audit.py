import json
from typing import Any

import pytest

from tests.component.controlplane.world import World


async def test_every_write_leaves_one_row_with_its_outcome(world: World) -> None:
    alpha = world.orgs["alpha"]
    key = await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    await world["alpha-user"].call("DELETE", f"/key/{key['id']}")
    user = await world["root"].ok("POST", "/org/alpha/user", {"username": "eve", "role": "org_user"})
    await world["root"].call("DELETE", f"/org/alpha/user/{user['id']}")
    await world["root"].call("POST", "/key", {"name": "admins have none"})
    await world["alpha-user"].call("POST", "/org", {"name": "not mine to make"})
    await world["alpha-user"].call("POST", "/key", {"name": ""})
    await world["alpha-user"].call("DELETE", "/key/0198c0de-0000-7000-8000-000000000000")
    await world["root"].call("POST", "/org", {"name": "Again", "slug": "alpha"})
    rows = [(row.action_type, row.outcome, row.org_id) for row in await world.audit()]
    assert rows == [
        ("key.create", "ok", alpha),
        ("key.revoke", "ok", alpha),
        ("user.create", "ok", alpha),
        ("user.delete", "ok", alpha),
        ("key.create", "denied", None),
        ("org.create", "denied", alpha),
        ("key.create", "failed", alpha),
        ("key.revoke", "failed", alpha),
        ("org.create", "failed", None),
    ]


async def test_a_row_tells_who_from_where_and_what_without_secrets(world: World) -> None:
    body = {"username": "eve", "role": "org_user", "password": "a very secret one"}
    response = await world["alpha-admin"].call("POST", "/org/alpha/user", body)
    (row,) = await world.audit()
    assert row.user_id_performing_action == world["alpha-admin"].user_id
    assert row.client_address == "192.0.2.7"
    assert row.request_id == response.headers["x-request-id"]
    assert row.payload == {"path": "/api/org/alpha/user", "body": {**body, "password": "***"}, "target_user_id": response.json()["id"]}


async def test_reading_and_what_never_authenticated_leave_none(world: World) -> None:
    await world["root"].ok("GET", "/org")
    await world.http.post("/api/key", json={"name": "x"})
    await world.http.post("/api/key", json={"name": "x"}, headers={"authorization": "Bearer nonsense"})
    assert await world.audit() == []


@pytest.mark.parametrize(
    "value",
    ["\x00", float("nan"), 10**300, "\ud800", [[[[[[[[[[[["deep"]]]]]]]]]]]], "x" * 5000],
    ids=["nul", "nan", "huge", "surrogate", "deep", "long"],
)
async def test_no_value_that_json_can_carry_breaks_the_audit_row_of_a_refused_write(world: World, value: Any) -> None:
    headers = {**world["alpha-user"].headers, "content-type": "application/json"}
    response = await world.http.post("/api/key", content=json.dumps({"name": "", "odd": value}), headers=headers)
    assert response.status_code == 422
    (row,) = await world.audit()
    assert row.outcome == "failed"


async def test_an_org_admin_reads_the_own_org_and_a_system_admins_writes_in_it(world: World) -> None:
    await world["root"].ok("POST", "/org/alpha/user", {"username": "eve", "role": "org_user"})
    await world["root"].ok("POST", "/org/beta/user", {"username": "mallory", "role": "org_user"})
    log = await world["alpha-admin"].ok("GET", "/org/alpha/audit_log")
    (entry,) = log["items"]
    assert entry["actionType"] == "user.create"
    assert entry["userIdPerformingAction"] == str(world["root"].user_id)
    assert entry["timestamp"].endswith("Z")
