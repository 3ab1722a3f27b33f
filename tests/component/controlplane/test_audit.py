import csv
import io
import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from controlplane.routes import WRITES
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


async def test_rows_are_found_by_actor_action_outcome_target_and_period(world: World) -> None:
    key = await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    await world["alpha-user"].call("DELETE", f"/key/{key['id']}")
    await world["alpha-admin"].ok("POST", "/org/alpha/user", {"username": "eve", "role": "org_user"})
    await world["alpha-admin"].call("POST", "/org/alpha/user", {"username": "", "role": "org_user"})

    async def found(**query: str) -> list[str]:
        response = await world["alpha-admin"].call("GET", "/org/alpha/audit_log", params=query)
        assert response.status_code == 200, response.text
        return [item["actionType"] for item in response.json()["items"]]

    everything = ["user.create", "user.create", "key.revoke", "key.create"]
    assert await found() == everything
    assert await found(actor="alpha-user") == await found(actor=str(world["alpha-user"].user_id)) == ["key.revoke", "key.create"]
    assert await found(actor="nobody") == []
    assert await found(action="key.create") == ["key.create"]
    assert await found(action="key.*") == ["key.revoke", "key.create"]
    assert await found(outcome="failed") == ["user.create"]
    assert await found(target=key["id"]) == ["key.revoke", "key.create"]
    assert await found(target="alpha") == ["user.create", "user.create"]
    times = [item["timestamp"] for item in (await world["alpha-admin"].ok("GET", "/org/alpha/audit_log"))["items"]]
    assert len(await found(to=times[-1])) == 0
    assert await found(**{"from": times[-1]}) == everything
    assert await found(actor="alpha-admin", outcome="ok", action="user.*") == ["user.create"]


async def test_a_filter_that_is_none_is_refused(world: World) -> None:
    for query in ("outcome=maybe", "action=key;drop", "actor=%00", "from=yesterday", "nonsense=1"):
        assert (await world["alpha-admin"].call("GET", f"/org/alpha/audit_log?{query}")).status_code == 422, query


async def test_a_system_admin_reads_everything_and_nobody_else_does(world: World) -> None:
    await world["root"].ok("POST", "/org", {"name": "New"})
    await world["alpha-user"].ok("POST", "/key", {"name": "laptop"})
    log = await world["root"].ok("GET", "/audit_log")
    assert [(item["actionType"], item["actor"]) for item in log["items"]] == [("key.create", "alpha-user"), ("org.create", "root")]
    for path in ("/audit_log", "/audit_log.csv"):
        assert (await world["alpha-admin"].call("GET", path)).status_code == 403
    for path in ("/org/alpha/audit_log.csv", "/audit_actions"):
        assert (await world["alpha-user"].call("GET", path)).status_code == 403
    assert (await world["beta-admin"].call("GET", "/org/alpha/audit_log.csv")).status_code == 404


async def test_the_export_has_every_row_and_no_formula(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.export._PAGE", 2)
    await world.add("=1+1", "alpha")
    for name in ("a", "b", "c", "d", "e"):
        await world["=1+1"].call("POST", "/key", {"name": f"=cmd|'/c calc'!{name}"})
    response = await world["alpha-admin"].call("GET", "/org/alpha/audit_log.csv", params={"actor": "=1+1"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="audit_log.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["actor"] for row in rows] == ["'=1+1"] * 5
    assert [json.loads(row["payload"])["body"]["name"][-1] for row in rows] == ["e", "d", "c", "b", "a"]


async def test_the_vocabulary_names_every_action_of_every_row(world: World, app: FastAPI) -> None:
    actions = {item["action"]: item["summary"] for item in (await world["alpha-admin"].ok("GET", "/audit_actions"))["items"]}
    writes = {route.name for route in app.routes if isinstance(route, APIRoute) and route.methods & WRITES}
    assert actions.keys() == writes | {"admin.bootstrap", "org.purge"}
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", action) and summary.endswith(".") for action, summary in actions.items())
