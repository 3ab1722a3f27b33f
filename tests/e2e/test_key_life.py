"""What is done to a key holds at the gateway within a second: rotation, disabling, its list of models; its labels end in the ledger."""

import time

import openai

from tests.e2e.world import CHAT, World, until


def status(world: World, api_key: str, model: str) -> int:
    try:
        world.client(api_key).chat.completions.create(model=model, messages=CHAT, max_tokens=5)
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def test_a_rotated_key_works_by_both_secrets_and_then_by_the_new_one_only(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    path = f"/api/key/{tenant.key_id}/rotate"
    overlapping = tenant.user.call("POST", path, json={"overlapSeconds": 3})["apiKey"]
    rotated = time.monotonic()
    until(lambda: status(world, overlapping, model) == 200, 1)
    assert status(world, tenant.api_key, model) == 200
    until(lambda: status(world, tenant.api_key, model) == 401, 5)
    assert time.monotonic() - rotated >= 2.5, "not before the overlap was over"
    assert status(world, overlapping, model) == 200

    last = tenant.user.call("POST", path, json={"overlapSeconds": 0})["apiKey"]
    until(lambda: status(world, last, model) == 200 and status(world, overlapping, model) == 401, 1)


def test_a_disabled_key_is_refused_within_a_second_and_taken_again_when_enabled(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    assert status(world, tenant.api_key, model) == 200
    tenant.user.call("POST", f"/api/key/{tenant.key_id}/disable")
    until(lambda: status(world, tenant.api_key, model) == 401, 1, every_s=0.02)
    tenant.user.call("POST", f"/api/key/{tenant.key_id}/enable")
    until(lambda: status(world, tenant.api_key, model) == 200, 1, every_s=0.02)


def test_a_key_uses_the_models_of_its_list_and_labels_its_requests(world: World) -> None:
    tenant = world.tenant(labels={"team": "search"})
    model, other = world.publish(tenant, name=f"gpt-{time.time_ns()}"), world.publish(tenant)
    body = {"name": "e2e", "allowedModels": ["gpt-*"], "labels": {"team": "search", "env": "prod"}}
    tenant.user.call("PUT", f"/api/key/{tenant.key_id}", json=body)
    until(lambda: status(world, tenant.api_key, other) == 403, 1)
    tags = {"x-request-tags": "team=mine,run=17"}
    answer = world.client(tenant.api_key).chat.completions.with_raw_response.create(model=model, messages=CHAT, max_tokens=5, extra_headers=tags)
    row = world.row(tenant.user, answer.headers["x-request-id"])
    assert row["tags"] == {"team": "search", "env": "prod", "run": "17"}
    checked = tenant.user.call("POST", "/api/validate-api-key", json={"apiKey": tenant.api_key})
    assert (checked["valid"], checked["key"]["models"]) == (True, [model])
