"""Approvals of an org, rules that approve by themselves, requests for access, and what the gateway and the registry see of them."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.approvals.rules import Rule, State, state_of
from tests.component.controlplane.test_catalog import published
from tests.component.controlplane.world import World
from tests.support.engine import Engine, engine_running

CHAT, EMBED = "gpu::chat", "gpu::embed"


@pytest.fixture
async def sim(world: World) -> AsyncIterator[Engine]:
    async with engine_running("chat", "embed") as engine:
        await world["root"].ok("POST", "/backend", {"name": "gpu", "baseUrl": engine.url})
        yield engine


async def says(world: World, verb: str, body: dict[str, Any], who: str = "alpha-admin") -> dict[str, Any]:
    view: dict[str, Any] = await world[who].ok("POST", f"/org/alpha/approval/{verb}", body)
    return view


async def states(world: World, query: str = "") -> dict[str, str]:
    return {one["model"]: one["state"] for one in (await world["alpha-admin"].ok("GET", f"/org/alpha/approval{query}"))["items"]}


async def asks_about(world: World, model: str) -> tuple[int, str | None]:
    answer = await world["alpha-user"].call("GET", f"/org/alpha/model/{model}")
    return answer.status_code, answer.json().get("code")


async def decide_by_hand(world: World) -> None:
    """End the rule that every new org has, and let the models be seen after that."""
    (rule,) = (await world["alpha-admin"].ok("GET", "/org/alpha/approval_rule"))["items"]
    await world["alpha-admin"].ok("POST", f"/approval_rule/{rule['id']}/end")
    await world.rows("UPDATE catalog_models SET first_seen_at = now() RETURNING id")


async def allowed(world: World) -> list[str]:
    (row,) = await world.rows("SELECT allowed_org_ids FROM gateway_publications_v3")
    found: list[str] = row.allowed_org_ids
    return found


async def test_a_new_org_approves_all_until_its_rule_ends_and_that_takes_nothing_away(world: World, sim: Engine) -> None:
    assert await states(world) == {CHAT: "approved", EMBED: "approved"}
    (rule,) = (await world["alpha-admin"].ok("GET", "/org/alpha/approval_rule"))["items"]
    assert (rule["pattern"], rule["backend"], rule["endedAt"]) == ("*", None, None)
    ended = await world["alpha-admin"].ok("POST", f"/approval_rule/{rule['id']}/end")
    assert await world["alpha-admin"].ok("POST", f"/approval_rule/{rule['id']}/end") == ended, "it ends once"
    sim.serves("chat", "embed", "new")
    await world["root"].ok("POST", "/backend/gpu/discover")
    assert await states(world) == {CHAT: "approved", EMBED: "approved", "gpu::new": "pending"}
    assert set(await states(world, "?state=pending&backend=gpu&name=ne")) == {"gpu::new"}


async def test_six_edges_and_no_other(world: World, sim: Engine) -> None:
    await decide_by_hand(world)
    for verb, state in (("approve", "approved"), ("revoke", "revoked"), ("reinstate", "approved")):
        assert (await says(world, verb, {"models": [CHAT]}))["models"][0]["after"] == state
    assert (await says(world, "reject", {"models": [EMBED], "reason": "not tested"}))["count"] == 1
    for verb, model in (("reinstate", CHAT), ("reject", CHAT), ("revoke", EMBED), ("reinstate", EMBED), ("reject", EMBED)):
        refused = await world["alpha-admin"].call("POST", f"/org/alpha/approval/{verb}", {"models": [model]})
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_approval_state")
    assert (await says(world, "approve", {"models": [EMBED]}))["models"] == [{"model": EMBED, "before": "rejected", "after": "approved"}]


async def test_who_decided_when_and_why_is_shown_and_audited(world: World, sim: Engine) -> None:
    await says(world, "revoke", {"models": [CHAT], "reason": "leaks"})
    shown = next(one for one in (await world["alpha-admin"].ok("GET", "/org/alpha/approval"))["items"] if one["model"] == CHAT)
    assert (shown["reason"], shown["decidedBy"]) == ("leaks", str(world["alpha-admin"].user_id))
    assert abs(datetime.fromisoformat(shown["decidedAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
    (row,) = [row for row in await world.audit() if row.action_type == "approval.revoke"]
    assert (row.org_id, row.user_id_performing_action) == (world.orgs["alpha"], world["alpha-admin"].user_id)
    assert row.payload["models"] == [CHAT]


async def test_a_bulk_is_shown_first_and_takes_only_those_that_can_go(world: World, sim: Engine) -> None:
    await decide_by_hand(world)
    await says(world, "approve", {"models": [CHAT]})
    shown = await says(world, "approve", {"backend": "gpu", "dryRun": True})
    assert (shown["dryRun"], shown["models"]) == (True, [{"model": EMBED, "before": "pending", "after": "approved"}])
    assert (await states(world))[EMBED] == "pending"
    assert (await says(world, "approve", {"backend": "gpu"}))["count"] == 1
    assert (await says(world, "revoke", {"pattern": "*"}))["count"] == 2
    assert (await says(world, "revoke", {"pattern": "*"}))["count"] == 0


async def test_names_that_mean_nothing_are_refused(world: World, sim: Engine) -> None:
    for body, status in (({"models": ["gpu::nothing"]}, 404), ({}, 422), ({"models": [CHAT], "pattern": "*"}, 422), ({"pattern": "*" * 9}, 422)):
        assert (await world["alpha-admin"].call("POST", "/org/alpha/approval/revoke", body)).status_code == status


async def test_the_gateway_follows_and_is_told(world: World, sim: Engine) -> None:
    publication_id, alpha = await published(world, "chat"), str(world.orgs["alpha"])
    assert await allowed(world) == [alpha]
    for verb, expected in (("revoke", []), ("reinstate", [alpha])):
        before = len(await world.changes())
        await says(world, verb, {"models": [CHAT]})
        assert await allowed(world) == expected
        assert set((await world.changes())[before:]) == {("publication", str(publication_id)), ("approvals", alpha)}


async def test_a_publication_needs_the_approval_of_all_its_backends(world: World, sim: Engine) -> None:
    publication_id, alpha = await published(world, "chat"), str(world.orgs["alpha"])
    await world["root"].ok("POST", "/backend", {"name": "second", "baseUrl": sim.url})
    await world.rows("INSERT INTO publication_targets SELECT :id, id, 100, 0 FROM backends RETURNING backend_id", id=publication_id)
    assert await allowed(world) == [alpha]
    await says(world, "revoke", {"models": ["second::chat"]})
    assert await allowed(world) == []
    await says(world, "reinstate", {"models": ["second::chat"]})
    await world.rows("UPDATE catalog_models SET status = 'deprecated' WHERE backend_id IN (SELECT id FROM backends WHERE name = 'gpu') RETURNING id")
    assert await allowed(world) == [alpha], "one backend still has it"


async def test_the_registry_says_which_of_three_reasons(world: World, sim: Engine) -> None:
    assert await asks_about(world, CHAT) == (200, None)
    assert await asks_about(world, "gpu::nothing") == (404, "model_not_found")
    await says(world, "revoke", {"models": [CHAT]})
    assert await asks_about(world, CHAT) == (403, "model_not_approved")
    await says(world, "reinstate", {"models": [CHAT]})
    await world.rows("UPDATE catalog_models SET status = 'deprecated' WHERE upstream_model = 'chat' RETURNING id")
    assert await asks_about(world, CHAT) == (410, "model_deprecated")


async def test_the_registry_lists_what_is_approved_and_there_with_its_price(world: World, sim: Engine) -> None:
    root = world["root"]
    (chat,) = (await root.ok("GET", "/catalog?name=chat"))["items"]
    await root.ok("PUT", f"/catalog/{chat['id']}", {"capabilities": ["tools"], "modalities": ["text"], "contextTokens": 8192, "aliases": ["best"]})
    price = {"currency": "EUR", "input": "0.5", "output": "1.5"}
    await root.ok("POST", f"/catalog/{chat['id']}/price", price)
    await root.ok("POST", f"/catalog/{chat['id']}/price", {**price, "validFrom": "2090-01-01T00:00:00Z", "input": "9"})
    user = world["alpha-user"]
    listed = (await user.ok("GET", "/org/alpha/model?capability=tools&modality=text&provider=gpu"))["items"]
    assert [(one["model"], one["contextTokens"], one["price"]["input"]) for one in listed] == [(CHAT, 8192, "0.500000")]
    assert listed[0]["provider"] | {"checkedAt": None} == {
        "name": "gpu", "kind": "openai", "urlKind": "http", "health": "healthy", "healthReason": None, "checkedAt": None
    }  # fmt: skip
    assert await user.ok("GET", "/org/alpha/model/best") == listed[0]
    assert (await user.ok("GET", "/org/alpha/model?capability=vision"))["items"] == []
    await says(world, "revoke", {"models": ["best"]})
    assert [one["model"] for one in (await user.ok("GET", "/org/alpha/model"))["items"]] == [EMBED]


async def test_a_user_asks_and_the_admin_grants(world: World, sim: Engine) -> None:
    user, admin = world["alpha-user"], world["alpha-admin"]
    already = await user.call("POST", "/access_request", {"model": CHAT, "reason": "work"})
    assert (already.status_code, already.json()["code"]) == (409, "already_approved")
    await says(world, "revoke", {"pattern": "*"})
    made = await user.ok("POST", "/access_request", {"model": CHAT, "reason": "work"})
    again = await user.call("POST", "/access_request", {"model": CHAT, "reason": "work"})
    assert (again.status_code, again.json()["code"]) == (409, "already_asked")
    (seen,) = (await admin.ok("GET", "/org/alpha/access_request?state=open"))["items"]
    assert (seen["model"], seen["username"]) == (CHAT, "alpha-user")
    granted = await admin.ok("POST", f"/access_request/{made['id']}/approve", {"answer": "have fun"})
    assert (granted["state"], granted["answer"], granted["decidedBy"]) == ("approved", "have fun", str(admin.user_id))
    assert await states(world) == {CHAT: "approved", EMBED: "revoked"}
    assert (await admin.call("POST", f"/access_request/{made['id']}/reject", {"reason": "no"})).json()["code"] == "request_not_open"


async def test_a_rejection_of_a_request_leaves_the_model_as_it_was_and_an_own_one_can_be_withdrawn(world: World, sim: Engine) -> None:
    await says(world, "revoke", {"pattern": "*"})
    user, admin = world["alpha-user"], world["alpha-admin"]
    first, second = [await user.ok("POST", "/access_request", {"model": model, "reason": "work"}) for model in (CHAT, EMBED)]
    assert (await admin.ok("POST", f"/access_request/{first['id']}/reject", {"reason": "too dear"}))["answer"] == "too dear"
    assert (await user.ok("POST", f"/access_request/{second['id']}/withdraw"))["state"] == "withdrawn"
    assert {one["state"] for one in (await user.ok("GET", "/access_request"))["items"]} == {"rejected", "withdrawn"}
    assert set((await states(world)).values()) == {"revoked"}


async def test_the_view_says_what_the_rules_say(world: World, sim: Engine) -> None:
    """Random rules and names, with what is special to LIKE, to patterns and to neither: SQL and Python agree."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    backends = [row.id for row in await world.rows("SELECT id FROM backends")]
    await world.rows("DELETE FROM approval_rules RETURNING id")
    moments = [datetime.now(UTC) + timedelta(days=days) for days in range(4)]
    names = {"".join(chance.choices("ab%_\\*.", k=chance.randint(1, 5))) for _ in range(60)}
    for name in names:
        await world.rows(
            "INSERT INTO catalog_models (id, backend_id, upstream_model, first_seen_at, last_seen_at) "
            "VALUES (gen_random_uuid(), :backend, :name, :at, :at) RETURNING id",
            backend=backends[0], name=name, at=chance.choice(moments),
        )  # fmt: skip
    rules = []
    for _ in range(6):
        rule = Rule(chance.choice([None, backends[0]]), "".join(chance.choices("ab%_\\*.", k=chance.randint(1, 5))), chance.choice([None, *moments]))
        rules.append(rule)
        await world.rows(
            "INSERT INTO approval_rules (id, org_id, backend_id, pattern, ended_at) "
            "VALUES (gen_random_uuid(), :org, :backend, :pattern, :at) RETURNING id",
            org=world.orgs["alpha"], backend=rule.backend_id, pattern=rule.pattern, at=rule.ended_at,
        )  # fmt: skip
    rows = await world.rows(
        "SELECT m.backend_id, m.upstream_model, m.first_seen_at, s.state "
        "FROM catalog_models m JOIN model_approval_states s ON s.catalog_model_id = m.id WHERE s.org_id = :org", org=world.orgs["alpha"],
    )  # fmt: skip
    assert len(rows) >= len(names)
    differing = [row for row in rows if state_of(None, rules, row.backend_id, row.upstream_model, row.first_seen_at) != State(row.state)]
    assert not differing, f"seed {seed}: {rules}"


async def test_a_manual_start_approves_nothing(world: World, sim: Engine, app: Any) -> None:
    app.state.runtime = replace(app.state.runtime, new_org_approval="manual")
    await world["root"].ok("POST", "/org", {"name": "Gamma"})
    listed = (await world["root"].ok("GET", "/org/gamma/approval"))["items"]
    assert {one["state"] for one in listed} == {"pending"}
