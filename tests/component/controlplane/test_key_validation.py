"""`POST /api/validate-api-key`: true to its holder, no help to a guesser."""

import json
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from controlplane.ids import new_id
from controlplane.keys.pace import Pace
from ias.apikeys import ApiKey, new_key, parse_key
from tests.component.controlplane.world import World


@pytest.fixture
async def key(world: World) -> dict[str, Any]:
    made: dict[str, Any] = await world["alpha-user"].ok("POST", "/key", {"name": "ci", "allowedModels": ["gpt-*", "llama"]})
    return made


async def ask(world: World, text: object) -> httpx2.Response:
    """As bytes: half of a surrogate pair is nothing that a client would encode by itself."""
    return await world.http.post("/api/validate-api-key", content=json.dumps({"apiKey": text}), headers={"content-type": "application/json"})


async def is_valid(world: World, text: str) -> bool:
    response = await ask(world, text)
    assert response.status_code == 200, response.text
    valid: bool = response.json()["valid"]
    return valid


async def publish(world: World, model: str, *orgs: str, status: str = "published") -> None:
    backend_id, publication_id = new_id(), new_id()
    await world.rows(
        "INSERT INTO backends (id, name, base_url, kind) VALUES (:id, :name, 'http://b', 'openai') RETURNING id", id=backend_id, name=model
    )
    await world.rows(
        "INSERT INTO publications (id, model, org_id, model_type, upstream_model, backend_id, status)"
        " VALUES (:id, :model, :org, 'openai', 'm', :backend, :status) RETURNING id",
        id=publication_id,
        model=model,
        org=world.orgs[orgs[0]],
        backend=backend_id,
        status=status,
    )
    for org in orgs:
        await world.rows("INSERT INTO publication_tenants VALUES (:id, :org) RETURNING org_id", id=publication_id, org=world.orgs[org])


async def test_its_holder_learns_what_it_may_use(world: World, key: dict[str, Any]) -> None:
    for model, orgs in (("llama", ("alpha",)), ("gpt-4o", ("beta", "alpha")), ("gpt-5", ("beta",)), ("qwen", ("alpha",))):
        await publish(world, model, *orgs)
    await publish(world, "gpt-old", "alpha", status="deleted")
    assert (await ask(world, key["apiKey"])).json() == {
        "valid": True,
        "key": {"id": key["id"], "name": "ci", "hint": key["hint"], "expiresAt": None, "validUntil": None, "models": ["gpt-4o", "llama"]},
    }
    assert await world.audit() == [row for row in await world.audit() if row.action_type != "key.validate"], "nobody has signed in"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keys SET status = 'disabled'",
        "UPDATE keys SET status = 'revoked'",
        "UPDATE keys SET expires_at = now()",
        "UPDATE credentials SET valid_until = now()",
        "UPDATE credentials SET revoked_at = now()",
        "UPDATE users SET status = 'disabled' WHERE username = 'alpha-user'",
        "UPDATE orgs SET status = 'suspended' WHERE slug = 'alpha'",
    ],
)
async def test_what_the_gateway_refuses_is_invalid_and_nothing_says_why(world: World, key: dict[str, Any], change: str) -> None:
    assert await is_valid(world, key["apiKey"])
    await world.rows(f"{change} RETURNING 1")
    assert (await ask(world, key["apiKey"])).json() == (await ask(world, new_key().text)).json() == {"valid": False, "key": None}


async def test_during_a_rotation_both_secrets_are_valid_and_the_old_one_knows_its_end(world: World, key: dict[str, Any]) -> None:
    rotated = await world["alpha-user"].ok("POST", f"/key/{key['id']}/rotate")
    old, new = [(await ask(world, text)).json() for text in (key["apiKey"], rotated["apiKey"])]
    assert (old["valid"], new["valid"], new["key"]["validUntil"]) == (True, True, None)
    assert old["key"]["validUntil"] == rotated["credentials"][1]["validUntil"]


async def test_a_near_miss_costs_what_an_unknown_key_costs(world: World, key: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = parse_key(key["apiKey"])
    assert real is not None
    other = new_key()
    near = _with_checksum(f"ias_live_{real.credential_id}{other.text[17:60]}")
    disabled = await world["alpha-admin"].ok("POST", "/key", {"name": "x"})
    await world["alpha-admin"].ok("POST", f"/key/{disabled['id']}/disable")
    statements: list[str] = []
    event.listen(world.runtime.engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    digests: list[str] = []
    digest = ApiKey.digest
    monkeypatch.setattr(ApiKey, "digest", lambda key, pepper: digests.append(key.credential_id) or digest(key, pepper))
    costs = []
    for text in (other.text, near, disabled["apiKey"]):
        statements.clear()
        digests.clear()
        assert not await is_valid(world, text)
        costs.append((list(statements), len(digests)))
    assert costs[0] == costs[1] == costs[2]
    assert (len(costs[0][0]), costs[0][1]) == (3 + 1, 1), "three keep the pace of the address, one reads the key"


@pytest.mark.parametrize("text", ["", "x", "ias_live_", "sk-" + "a" * 48, "\ud800", "\x00", "ias_live_" + "0" * 57])
async def test_what_is_no_key_is_invalid(world: World, text: str) -> None:
    assert not await is_valid(world, text)


@pytest.mark.parametrize("body", [{}, {"apiKey": 5}, {"apiKey": "x" * 257}, {"key": "x"}, []])
async def test_a_request_that_asks_nothing_is_refused_without_its_content(world: World, body: object) -> None:
    response = await world.http.post("/api/validate-api-key", json=body)
    assert response.status_code == 422
    assert "xxx" not in response.text


async def test_an_address_may_not_ask_often(world: World, key: dict[str, Any]) -> None:
    answers = [(await ask(world, key["apiKey"])) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert answers[-1].json()["code"] == "too_many_attempts"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2


async def test_the_pace_holds_over_all_replicas(world: World, app: FastAPI, key: dict[str, Any]) -> None:
    statuses = []
    for _ in range(3):
        app.state.runtime = replace(app.state.runtime, validation_pace=Pace(30))  # what another process remembers: nothing
        statuses += [(await ask(world, key["apiKey"])).status_code for _ in range(4)]
    assert statuses == [200] * 10 + [429] * 2


async def test_a_key_under_a_pepper_that_is_not_here_is_neither_valid_nor_invalid(world: World, key: dict[str, Any]) -> None:
    await world.rows("UPDATE credentials SET pepper_version = 9 RETURNING 1")
    assert (await ask(world, key["apiKey"])).status_code == 503


def _with_checksum(body: str) -> str:
    from ias.apikeys import _crc

    return body + _crc(body)
