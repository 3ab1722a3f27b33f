"""A revoked key, or a model whose approval was revoked, is refused within a second; a stream that runs ends normally."""

import threading
import time

import openai

from tests.e2e.world import CHAT, World, simulate, until


def test_a_revoked_key_is_refused_within_a_second(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    client = world.client(tenant.api_key)
    chunks: list[object] = []
    stream = client.chat.completions.create(model=model, messages=CHAT, stream=True, extra_headers=simulate(tokens=30, pace_ms=100))
    first = next(iter(stream))
    reader = threading.Thread(target=lambda: chunks.extend(stream))
    reader.start()

    tenant.user.call("DELETE", f"/api/key/{tenant.key_id}")
    revoked = time.monotonic()

    def refused() -> bool:
        try:
            client.models.list()
        except openai.AuthenticationError:
            return True
        return False

    until(refused, 1, every_s=0.02)
    print(f"\nrefused {time.monotonic() - revoked:.2f} s after the revocation")
    assert reader.is_alive(), "the stream is still running when the key is already refused"
    reader.join(20)
    assert first
    assert chunks[-1].choices[0].finish_reason == "stop"  # type: ignore[attr-defined]


def test_a_removed_org_stops_and_its_models_stay_for_others(world: World) -> None:
    leaving, staying = world.tenant(), world.tenant()
    model = world.publish(staying, leaving)
    assert model in world.model_names(leaving.api_key)
    world.admin.call("DELETE", f"/api/org/{leaving.org_id}")
    until(lambda: not world.model_names(leaving.api_key), 1)
    assert model in world.model_names(staying.api_key)


def test_a_revoked_model_is_gone_within_a_second_and_comes_back_when_it_is_reinstated(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    client = world.client(tenant.api_key)
    shown = world.admin.call("GET", f"/api/models/{model}/publish")
    catalog_id = f"{shown['backend']}::{shown['upstreamModel']}"
    chunks: list[object] = []
    stream = client.chat.completions.create(model=model, messages=CHAT, stream=True, extra_headers=simulate(tokens=30, pace_ms=100))
    first = next(iter(stream))
    reader = threading.Thread(target=lambda: chunks.extend(stream))
    reader.start()

    def code() -> str | None:
        try:
            client.chat.completions.create(model=model, messages=CHAT, extra_headers=simulate(tokens=1))
        except openai.NotFoundError as error:
            return error.code
        return None

    def decide(verb: str) -> float:
        world.admin.call("POST", f"/api/org/{tenant.org_id}/approval/{verb}", json={"models": [catalog_id], "reason": "a test"})
        return time.monotonic()

    decided = decide("revoke")
    assert until(code, 1, every_s=0.02) == "model_not_found"
    print(f"\n404 {time.monotonic() - decided:.2f} s after the revocation")
    assert reader.is_alive(), "the stream is still running when the model is already gone"
    assert model not in world.model_names(tenant.api_key)
    reader.join(20)
    assert first
    assert chunks[-1].choices[0].finish_reason == "stop"  # type: ignore[attr-defined]
    decided = decide("reinstate")
    until(lambda: code() is None, 1, every_s=0.02)
    print(f"200 {time.monotonic() - decided:.2f} s after it was reinstated")
