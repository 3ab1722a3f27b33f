"""Keys are found by what is known of them, and many are revoked at once: those that were shown, and no others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.keys import bulk
from ias.gateway_views import CREDENTIALS
from ias.model_patterns import is_allowed
from tests.component.controlplane.world import World

PATTERNS = [[], ["gpt-*"], ["gpt_4", "*-mini"], ["*"], ["a*b*c"], ["gpt-4o"]]
MODELS = ["gpt-4o", "gpt_4", "gpt-4", "gptx4", "o-mini", "abc", "a-b-c", "acb", "100%", "llama"]


@pytest.fixture
async def keys(world: World) -> dict[str, Any]:
    """Four keys of alpha and one of beta, by name."""
    await world.add("colleague", "alpha")
    wishes = [
        ("alpha-user", {"name": "CI nightly", "labels": {"team": "search", "env": "prod"}}),
        ("alpha-user", {"name": "100% laptop", "labels": {"team": "ads"}, "allowedModels": ["gpt-*"]}),
        ("colleague", {"name": "old ci", "expiresAt": (datetime.now(UTC) + timedelta(days=1)).isoformat()}),
        ("alpha-admin", {"name": "admin's"}),
        ("beta-user", {"name": "CI of beta", "labels": {"team": "search"}}),
    ]
    made = {wish["name"]: await world[who].ok("POST", "/key", wish) for who, wish in wishes}
    await world.rows("UPDATE keys SET last_used_at = now() WHERE name = 'CI nightly' RETURNING 1")
    await world.rows("UPDATE keys SET created_at = now() - interval '90 days' WHERE name IN ('old ci', 'CI nightly') RETURNING 1")
    return made


async def found(world: World, **query: Any) -> list[str]:
    response = await world["alpha-admin"].call("GET", "/org/alpha/key", params=query)
    assert response.status_code == 200, response.text
    return [key["name"] for key in response.json()["items"]]


async def test_by_what_is_known_of_them(world: World, keys: dict[str, Any]) -> None:
    month_ago = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    laptop = keys["100% laptop"]
    assert await found(world, name="ci") == ["old ci", "CI nightly"]
    assert await found(world, name="%") == ["100% laptop"]
    assert await found(world, hint=laptop["hint"]) == ["100% laptop"]
    assert await found(world, hint=laptop["hint"].removeprefix("ias_live_")[:6]) == ["100% laptop"]
    assert await found(world, user="COLLEAGUE") == ["old ci"]
    assert await found(world, user=str(world["alpha-admin"].user_id)) == ["admin's"]
    assert await found(world, label="team") == ["100% laptop", "CI nightly"]
    assert await found(world, label=["team=search", "env=prod"]) == ["CI nightly"]
    assert await found(world, label="team=other") == []
    assert await found(world, model="llama") == ["admin's", "old ci", "CI nightly"]
    assert await found(world, lastUsedBefore=month_ago) == ["old ci"], "never used, and made before then"
    assert await found(world, createdBefore=month_ago) == ["old ci", "CI nightly"]
    assert await found(world, expiresBefore=(datetime.now(UTC) + timedelta(days=2)).isoformat()) == ["old ci"]
    assert await found(world, name="ci", label="team=search", status="active") == ["CI nightly"]


async def test_by_status_at_this_moment(world: World, keys: dict[str, Any]) -> None:
    await world["alpha-user"].ok("DELETE", f"/key/{keys['CI nightly']['id']}")
    await world["alpha-user"].ok("POST", f"/key/{keys['100% laptop']['id']}/disable")
    await world.rows("UPDATE keys SET expires_at = now() WHERE name = 'old ci' RETURNING 1")
    for status, name in (("revoked", "CI nightly"), ("disabled", "100% laptop"), ("expired", "old ci"), ("active", "admin's")):
        assert await found(world, status=status) == [name]
        assert (await world["alpha-admin"].ok("GET", f"/key/{keys[name]['id']}"))["status"] == status


async def test_a_search_goes_on_behind_its_cursor_and_ends_at_the_own_keys(world: World, keys: dict[str, Any]) -> None:
    first = await world["alpha-user"].ok("GET", "/key?limit=1&label=team")
    second = await world["alpha-user"].ok("GET", f"/key?limit=1&label=team&cursor={first['nextCursor']}")
    assert [page["items"][0]["name"] for page in (first, second)] == ["100% laptop", "CI nightly"]
    assert second["nextCursor"] is None
    assert (await world["alpha-user"].ok("GET", "/key?name=old"))["items"] == []


async def test_the_search_by_model_follows_the_rule_of_the_gateway(world: World) -> None:
    for number, patterns in enumerate(PATTERNS):
        await world["alpha-user" if number < 3 else "alpha-admin"].ok("POST", "/key", {"name": repr(patterns), "allowedModels": patterns})
    for model in MODELS:
        assert set(await found(world, model=model)) == {repr(one) for one in PATTERNS if is_allowed(model, one)}, model


@pytest.mark.parametrize("query", [{"hint": "ias_live_" + "x" * 57}, {"label": "a=b,c"}, {"status": "gone"}, {"lastUsedBefore": "soon"}, {"x": "1"}])
async def test_a_search_that_makes_no_sense_is_refused(world: World, query: dict[str, str]) -> None:
    response = await world["alpha-admin"].call("GET", "/org/alpha/key", params=query)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def revoke(world: World, who: str = "alpha-admin", **body: Any) -> Any:
    return await world[who].call("POST", "/org/alpha/key/revoke", body)


async def test_those_that_the_dry_run_has_shown_are_revoked(world: World, keys: dict[str, Any]) -> None:
    by_label = {"label": ["team"]}
    shown = (await revoke(world, filter=by_label)).json()
    assert [key["name"] for key in shown["keys"]] == ["CI nightly", "100% laptop"]
    assert (shown["dryRun"], shown["count"], shown["remaining"]) == (True, 2, 0)
    assert len(await world.rows(f"SELECT 1 FROM {CREDENTIALS}")) == 5, "nothing happened"
    changes = len(await world.changes())
    done = (await revoke(world, filter=by_label, dryRun=False, confirm=shown["confirm"])).json()
    assert [(key["name"], key["status"], key["credentials"]) for key in done["keys"]] == [
        ("CI nightly", "revoked", []),
        ("100% laptop", "revoked", []),
    ]
    assert (done["dryRun"], done["count"], done["remaining"]) == (False, 2, 0)
    assert {kind for kind, _ in (await world.changes())[changes:]} == {"key", "credential"}
    assert len((await world.changes())[changes:]) == 4
    assert len(await world.rows(f"SELECT 1 FROM {CREDENTIALS}")) == 3
    row = (await world.audit())[-1]
    assert (row.action_type, row.outcome, row.payload["key_ids"]) == ("key.bulk_revoke", "ok", [key["id"] for key in shown["keys"]])
    assert (await revoke(world, filter=by_label)).json()["count"] == 0, "revoked ones are no more meant"


async def test_a_key_that_came_meanwhile_is_not_revoked_unseen(world: World, keys: dict[str, Any]) -> None:
    shown = (await revoke(world, filter={"status": "active"})).json()
    await world["alpha-admin"].ok("POST", "/key", {"name": "new"})
    refused = await revoke(world, filter={"status": "active"}, dryRun=False, confirm=shown["confirm"])
    assert (refused.status_code, refused.json()["code"]) == (409, "other_keys_match")
    assert len(await world.rows(f"SELECT 1 FROM {CREDENTIALS}")) == 6


async def test_more_than_one_call_takes_are_revoked_in_portions(world: World, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 3)
    left = []
    while not left or left[-1]:
        shown = (await revoke(world, filter={"status": "active"})).json()
        done = await revoke(world, filter={"status": "active"}, dryRun=False, confirm=shown["confirm"])
        left.append(done.json()["remaining"])
    assert left == [1, 0]
    assert len(await world.rows(f"SELECT 1 FROM {CREDENTIALS}")) == 1, "the other org's"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"filter": {}}, "filter"), ({}, "filter"), ({"filter": {"name": "x"}, "dryRun": False}, "body")],
    ids=["all", "none", "unseen"],
)
async def test_nobody_revokes_all_by_leaving_something_out(world: World, body: dict[str, Any], field: str) -> None:
    response = await revoke(world, **body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
