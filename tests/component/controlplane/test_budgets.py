"""Budgets by REST: who may spend what, under which ceiling, and what is left of it. Without an admission store the ledger tells."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ias.gateway_views import CREDENTIALS
from tests.component.controlplane.ledger_rows import used, write
from tests.component.controlplane.world import World

MONTH = "/org/alpha/budget/month"


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@pytest.fixture
async def key_id(world: World) -> str:
    made: str = (await world["alpha-user"].ok("POST", "/key", {"name": "ci"}))["id"]
    return made


@pytest.fixture
def paths(world: World, key_id: str) -> dict[str, str]:
    return {"org": "/org/alpha/budget", "user": f"/user/{world['alpha-user'].user_id}/budget", "key": f"/key/{key_id}/budget"}


async def seen(world: World, scope: str) -> Any:
    (row,) = await world.rows(f"SELECT {scope}_limits FROM {CREDENTIALS}")
    return row[0] if isinstance(row[0], dict) else json.loads(row[0])


@pytest.mark.parametrize("scope", ["org", "user", "key"])
async def test_a_budget_is_seen_by_the_data_plane_and_shown_with_what_is_left(
    world: World, paths: dict[str, str], key_id: str, database_url: str, scope: str
) -> None:
    admin, now = world["alpha-admin"], datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await write(
        database_url,
        used(first, 300, world.orgs["alpha"], world["alpha-user"].user_id, key_id),
        used(first - timedelta(milliseconds=1), 5_000, world.orgs["alpha"], world["alpha-user"].user_id, key_id),
        used(first, 7_000, world.orgs["beta"]),
    )
    changes = len(await world.changes())
    made = await admin.call("PUT", f"{paths[scope]}/month", {"tokens": 1_000})
    assert made.status_code == 200, made.text
    view = made.json()
    assert (view["scope"], view["period"], view["tokens"], view["effectiveTokens"], view["thresholds"]) == (
        scope,
        "month",
        1_000,
        1_000,
        [50, 80, 100],
    )
    assert (view["spent"], view["held"], view["free"], view["source"]) == (300, 0, 700, "ledger")
    assert (datetime.fromisoformat(view["periodStart"]), datetime.fromisoformat(view["resetsAt"])) == (
        first,
        (first + timedelta(days=31)).replace(day=1),
    )
    assert await seen(world, scope) == {
        "budgets": [{"period": "month", "tokens": 1_000, "extraTokens": 0, "extraUntilMs": 0}],
        "dryRun": [],
    }
    assert (await world.changes())[changes:] == [(scope, view["subjectId"])]
    shown = await admin.call("GET", f"{paths[scope]}/month")
    assert (shown.json(), shown.headers["etag"]) == (view, made.headers["etag"])
    assert (await admin.ok("GET", paths[scope]))["items"] == [view]
    assert (await admin.call("DELETE", f"{paths[scope]}/month")).status_code == 204
    assert problem(await admin.call("GET", f"{paths[scope]}/month")) == (404, "budget_not_found")
    assert await seen(world, scope) == {"dryRun": []}


async def test_each_period_has_its_own_budget_the_shortest_first(world: World, paths: dict[str, str]) -> None:
    for period, tokens in (("month", 3), ("day", 1), ("week", 2)):
        await world["alpha-admin"].ok("PUT", f"{paths['user']}/{period}", {"tokens": tokens, "dryRun": period == "week", "thresholds": [90, 10, 10]})
    listed = (await world["alpha-admin"].ok("GET", paths["user"]))["items"]
    assert [(view["period"], view["tokens"], view["thresholds"]) for view in listed] == [
        ("day", 1, [10, 90]),
        ("week", 2, [10, 90]),
        ("month", 3, [10, 90]),
    ]
    assert (await seen(world, "user"))["dryRun"] == ["budget:week"]
    assert (await world["alpha-admin"].call("PUT", f"{paths['user']}/year", {"tokens": 1})).status_code == 404


async def test_an_org_sets_its_budget_under_a_ceiling_that_only_a_system_admin_sets(world: World, key_id: str) -> None:
    admin, root = world["alpha-admin"], world["root"]
    assert problem(await admin.call("PUT", f"{MONTH}/ceiling", {"tokens": 10**6})) == (403, "forbidden")
    ceiling = await root.ok("PUT", f"{MONTH}/ceiling", {"tokens": 1_000})
    assert (ceiling["tokens"], ceiling["ceilingTokens"], ceiling["effectiveTokens"]) == (None, 1_000, 1_000)
    assert (await seen(world, "org"))["budgets"][0]["tokens"] == 1_000, "a ceiling stands for itself"
    await admin.ok("PUT", MONTH, {"tokens": 1_000})
    for person in (admin, root):
        assert problem(await person.call("PUT", MONTH, {"tokens": 1_001})) == (422, "budget_above_ceiling")
    assert problem(await admin.call("PUT", f"{MONTH}/increase", {"tokens": 1, "until": in_days(1)})) == (422, "budget_above_ceiling")
    assert problem(await admin.call("DELETE", f"{MONTH}/ceiling")) == (403, "forbidden")
    await root.ok("PUT", f"{MONTH}/ceiling", {"tokens": 400})
    lowered = await admin.ok("GET", MONTH)
    assert (lowered["tokens"], lowered["effectiveTokens"]) == (1_000, 400)
    assert (await seen(world, "org"))["budgets"][0]["tokens"] == 400
    await admin.ok("DELETE", MONTH)
    assert (await admin.ok("GET", MONTH))["effectiveTokens"] == 400, "what the System Admin set is not the org's to lift"
    assert problem(await admin.call("DELETE", MONTH)) == (404, "budget_not_found")
    await root.ok("DELETE", f"{MONTH}/ceiling")
    assert problem(await admin.call("GET", MONTH)) == (404, "budget_not_found")
    assert problem(await root.call("DELETE", f"{MONTH}/ceiling")) == (404, "ceiling_not_found")


async def test_an_increase_has_an_end_and_survives_a_change_of_the_budget(world: World, key_id: str) -> None:
    admin, until = world["alpha-admin"], in_days(3)
    assert problem(await admin.call("PUT", f"{MONTH}/increase", {"tokens": 50, "until": until})) == (404, "budget_not_found")
    await admin.ok("PUT", MONTH, {"tokens": 100})
    increased = await admin.ok("PUT", f"{MONTH}/increase", {"tokens": 50, "until": until})
    assert (increased["tokens"], increased["extraTokens"], increased["effectiveTokens"]) == (100, 50, 150)
    (budget,) = (await seen(world, "org"))["budgets"]
    assert (budget["tokens"], budget["extraTokens"]) == (100, 50)
    assert budget["extraUntilMs"] == int(datetime.fromisoformat(until).timestamp() * 1000)
    assert (await admin.ok("PUT", MONTH, {"tokens": 200}))["effectiveTokens"] == 250
    await world.rows("UPDATE budgets SET extra_until = now() - interval '1 second' RETURNING 1")
    ended = await admin.ok("GET", MONTH)
    assert (ended["extraTokens"], ended["extraUntil"], ended["effectiveTokens"]) == (0, None, 200)
    await world["root"].ok("PUT", f"{MONTH}/ceiling", {"tokens": 200})
    await admin.ok("PUT", MONTH, {"tokens": 200})
    await admin.ok("DELETE", f"{MONTH}/increase")


async def test_a_budget_that_was_lifted_takes_its_increase_with_it(world: World) -> None:
    admin = world["alpha-admin"]
    await world["root"].ok("PUT", f"{MONTH}/ceiling", {"tokens": 500})
    await admin.ok("PUT", MONTH, {"tokens": 100})
    await admin.ok("PUT", f"{MONTH}/increase", {"tokens": 50, "until": in_days(3)})
    await admin.ok("DELETE", MONTH)
    assert (await admin.ok("PUT", MONTH, {"tokens": 100}))["effectiveTokens"] == 100


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (MONTH, {}, "tokens"),
        (MONTH, {"tokens": -1}, "tokens"),
        (MONTH, {"tokens": 1.5}, "tokens"),
        (MONTH, {"tokens": 10**15 + 1}, "tokens"),
        (MONTH, {"tokens": 1, "thresholds": [0]}, "thresholds.0"),
        (MONTH, {"tokens": 1, "thresholds": list(range(1, 12))}, "thresholds"),
        (MONTH, {"tokens": 1, "ceilingTokens": 5}, "ceilingTokens"),
        (f"{MONTH}/increase", {"tokens": 0, "until": "2999-01-01T00:00:00Z"}, "tokens"),
        (f"{MONTH}/increase", {"tokens": 5}, "until"),
        (f"{MONTH}/increase", {"tokens": 5, "until": "2001-01-01T00:00:00Z"}, "until"),
        (f"{MONTH}/increase", {"tokens": 5, "until": "9999-12-31T23:59:59-14:00"}, "until"),
        (f"{MONTH}/ceiling", {"tokens": None}, "tokens"),
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused_by_the_name_of_the_field(world: World, path: str, body: dict[str, Any], field: str) -> None:
    await world["root"].ok("PUT", MONTH, {"tokens": 1})
    response = await world["root"].call("PUT", path, body)
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_of_many_who_read_the_same_version_one_writes(world: World) -> None:
    admin = world["alpha-admin"]

    async def put(tokens: int, tag: str) -> int:
        return (await admin.call("PUT", MONTH, {"tokens": tokens}, headers={"if-match": tag})).status_code

    assert sorted(await asyncio.gather(*(put(tokens, '"0"') for tokens in range(4)))) == [200, 412, 412, 412], "also of those who saw none"
    tag = (await admin.call("GET", MONTH)).headers["etag"]
    assert sorted(await asyncio.gather(*(put(tokens, tag) for tokens in range(4)))) == [200, 412, 412, 412]
    for method, path, body in (("DELETE", MONTH, None), ("PUT", f"{MONTH}/increase", {"tokens": 1, "until": in_days(1)})):
        assert problem(await admin.call(method, path, body, headers={"if-match": tag})) == (412, "version_conflict")


async def test_a_budget_made_anew_never_has_a_version_that_somebody_has_read(world: World) -> None:
    admin = world["alpha-admin"]
    before = (await admin.call("PUT", MONTH, {"tokens": 1})).headers["etag"]
    await admin.ok("DELETE", MONTH)
    await admin.ok("PUT", MONTH, {"tokens": 1})
    assert problem(await admin.call("PUT", MONTH, {"tokens": 2}, headers={"if-match": before})) == (412, "version_conflict")


async def test_every_change_is_in_the_audit_log_of_the_org_with_its_amounts(world: World, paths: dict[str, str]) -> None:
    root, admin = world["root"], world["alpha-admin"]
    await root.ok("PUT", f"{MONTH}/ceiling", {"tokens": 900})
    await admin.ok("PUT", MONTH, {"tokens": 500, "thresholds": [75]})
    await admin.ok("PUT", f"{MONTH}/increase", {"tokens": 50, "until": in_days(1)})
    await admin.call("PUT", MONTH, {"tokens": 1_000})
    await admin.ok("PUT", f"{paths['user']}/day", {"tokens": 7})
    log = (await admin.ok("GET", "/org/alpha/audit_log"))["items"][:5][::-1]
    assert [(row["actionType"], row["outcome"]) for row in log] == [
        ("org_budget.set_ceiling", "ok"),
        ("org_budget.set", "ok"),
        ("org_budget.increase", "ok"),
        ("org_budget.set", "failed"),
        ("user_budget.set", "ok"),
    ]
    assert log[1]["payload"]["body"] == {"tokens": 500, "thresholds": [75]}
    assert (log[4]["payload"]["target_user_id"], log[4]["payload"]["period"]) == (str(world["alpha-user"].user_id), "day")
